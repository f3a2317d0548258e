"""Our package beside large-image-source-zarr 1.35.6: the same work, in turn, in the same run.

    make bench            # everything; the table is written to docs/benchmarks-all.md
    python run.py OURS_PYTHON THEIRS_PYTHON [--runs 3] [--only TEXT] [--output FILE]

Each piece of work runs in a fresh process of either environment, ours and theirs in turn; the medians
and their ratio are printed. Reading has a comparison of its own, compare_reading.py.
"""

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from work import OURS_ONLY, WORKS

HERE = Path(__file__).parent
OURS, THEIRS = 'girder_zarr.image', 'large_image_source_zarr'


def run_once(python, module, name, folder, timeout):
    work = folder / 'work'
    work.mkdir(exist_ok=True)
    for left in work.iterdir():
        left.unlink()
    environment = {**os.environ, 'TMPDIR': str(folder), 'PYTHONWARNINGS': 'ignore'}
    try:
        done = subprocess.run(
            [python, HERE / 'work.py', module, name, work],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        return error.stderr.strip().splitlines()[-1]
    except subprocess.TimeoutExpired:
        return f'over {timeout} s'
    return json.loads(done.stdout.splitlines()[-1])


def measure(name, arguments, folder):
    results = {OURS: [], THEIRS: []}
    both = ((arguments.ours, OURS), (arguments.theirs, THEIRS))
    for _ in range(arguments.runs):
        for python, module in both[:1] if name in OURS_ONLY else both:
            result = run_once(python, module, name, folder, arguments.timeout)
            if isinstance(result, str):
                print(f'{name}: {module}: {result}', file=sys.stderr)
            else:
                results[module].append(result)
    return results


def row(name, results):
    cells, speeds, quick = [], [], []
    for module in (THEIRS, OURS):
        found = results[module]
        if not found:
            cells += ['fails', '']
            continue
        speed = statistics.median(one['amount'] / one['seconds'] for one in found)
        speeds.append(speed)
        quick.append(statistics.median(one['amount'] / one['cpu'] for one in found))
        cells += [f'{speed:,.4g}', f'{statistics.median(one["peak"] for one in found):,.0f}']
    ratio, cpu = (f'{two[1] / two[0]:.1f}' if len(two) == 2 else '' for two in (speeds, quick))
    return f'| {name} | {cells[0]} | {cells[2]} | **{ratio}** | {cpu} | {cells[1]} | {cells[3]} |'


def own_row(name, results):
    """A row of the second table: what only ours is asked for."""
    found = results[OURS]
    if not found:
        return f'| {name} | fails | | |'
    wall, cpu = (
        statistics.median(one['amount'] / one[clock] for one in found) for clock in ('seconds', 'cpu')
    )
    peak = statistics.median(one['peak'] for one in found)
    return f'| {name} | {wall:,.4g} | {cpu:,.4g} | {peak:,.0f} |'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('ours')
    parser.add_argument('theirs')
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--only', default='')
    parser.add_argument('--timeout', type=float, default=300)
    parser.add_argument('--output', type=Path)
    arguments = parser.parse_args()
    setting = f'{os.cpu_count()} cores, Python {platform.python_version()}, `make bench`'
    lines = [
        '# Benchmarks',
        '',
        f'{dt.datetime.now(dt.UTC).date()}, {setting}: medians of {arguments.runs} runs,',
        'ours and large-image-source-zarr 1.35.6 in turn, a fresh process each.',
        'Memory is the peak of the whole process in MB. The machine is shared: look at the ratios,',
        'of time on the wall and of processor time over all threads.',
        f'The load at the start was {os.getloadavg()[0]:.1f}.',
        '',
        '| work | 1.35.6 | girder_zarr | ratio | by processor time | MB, 1.35.6 | MB, girder_zarr |',
        '|---|---|---|---|---|---|---|',
    ]
    print('\n'.join(lines), flush=True)
    with tempfile.TemporaryDirectory(prefix='girder-zarr-bench-') as name:
        folder = Path(name)
        for work in WORKS:
            if arguments.only in work:
                lines.append(row(work, measure(work, arguments, folder)))
                print(lines[-1], flush=True)
        lines += [
            '',
            '| work of girder_zarr alone | on the wall | by processor time | MB |',
            '|---|---|---|---|',
        ]
        for work in OURS_ONLY:
            if arguments.only in work:
                lines.append(own_row(work, measure(work, arguments, folder)))
                print(lines[-1], flush=True)
    if arguments.output:
        arguments.output.write_text('\n'.join(lines) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
