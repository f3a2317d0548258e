"""Registration and estimated light against the truth, beside other programs, on pictures that are cut.

    python benchmarks/correction.py [--peer NAME=PYTHON ...] [--count 4] [--only 60]

The scenes are those of the tests: tiles of 220 pixels, cut by splines at places up to 4 pixels beside where
they are said to lie, with an overlap of 44 and noise, under even light and under light that falls to 60 %.
Each peer (m2stitch, multiview-stitcher, ashlar, basicpy) needs the Python of an environment that has it.
Printed are the errors of positions (median, 95th percentile, largest, in pixels, beside a shift of all), the
seam of the tiles laid one upon the other at these positions (1 is none; of ours also with the light taken
out), by how much the estimated light deviates from the true one, and seconds of processor time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from girder_zarr.stitch.output.assemble import BlockMaker, make_plan
from girder_zarr.stitch.spec.model import StitchSpec

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / 'tests'))

from support import shaded_scenes as scenes  # noqa: E402

SIDE, OVERLAP, SHIFT = 220, 44, 12
PICTURES = {'retina': scenes.fundus, 'section': scenes.slide, 'beads': scenes.beads}


def errors(scene, places):
    off = np.asarray(places) - scene.true
    off -= np.median(off, axis=0)
    return np.hypot(off[:, 0], off[:, 1])


def seam_at(scene, places):
    """The seam of tiles as they are, at positions rounded to whole pixels."""
    whole = np.floor(np.asarray(places) + 0.5).astype(int)
    patches = [
        replace(patch, placement=replace(patch.placement, y=int(y), x=int(x)))
        for patch, (y, x) in zip(scene.patches, whole, strict=True)
    ]
    return seam_of(scene, make_plan(patches, scene.load, StitchSpec()))


def seam_of(scene, plan):
    block = BlockMaker(plan, scene.load).read(tuple(slice(0, size) for size in plan.shape))
    return scenes.seam(block, plan, OVERLAP)


def deviation(field, light):
    ratio = np.asarray(field) / light
    return float(ratio.std() / ratio.mean())


def ours(scene, light):
    """Yield the rows of our own: without and with estimated light, at whole pixels and between them."""
    for name, subpixel, spec in (
        ('girder_zarr', False, {}),
        ('girder_zarr, light estimated', False, {'illumination': {}}),
        ('girder_zarr, light estimated, subpixel', True, {'illumination': {}}),
    ):
        begun = time.process_time()
        plan = scene.plan(registration={'maxShift': SHIFT, 'subpixel': subpixel}, **spec)
        cpu = time.process_time() - begun
        moves = [plan.registration.moves.get(patch.key, (0, 0)) for patch in scene.patches]
        field = plan.illumination[0].image()[:, :, 0] if plan.illumination else None
        yield (
            name,
            errors(scene, scene.said + moves),
            seam_of(scene, plan),
            None if field is None else deviation(field, light),
            cpu,
        )


def asked(peer, python, path):
    environment = {**os.environ, 'PYTHONWARNINGS': 'ignore'}
    done = subprocess.run(
        [python, HERE / 'stitch_peers.py', peer, path],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or ['?'])[-1]
    answer = json.loads(done.stdout.splitlines()[-1])
    return np.array(answer['found']), answer['cpu']


def row(picture, light, name, off, seam, wrong, cpu):
    numbers = (np.median(off), np.percentile(off, 95), off.max()) if off is not None else ()
    cells = [f'{number:.3f}' for number in numbers] or ['', '', '']
    cells += ['' if seam is None else f'{seam:.3f}', '' if wrong is None else f'{100 * wrong:.1f} %']
    print(f'| {picture}, {light} | {name} | {" | ".join(cells)} | {cpu:.2f} |', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--peer', action='append', default=[], metavar='NAME=PYTHON')
    parser.add_argument('--count', type=int, default=4)
    parser.add_argument('--only', default='', help='a part of the name of a scene')
    arguments = parser.parse_args()
    peers = [peer.split('=', 1) for peer in arguments.peer]
    print('| scene | program | median px | 95 % px | largest px | seam | light off by | processor s |')
    print('|---|---|---|---|---|---|---|---|')
    for name, picture in PICTURES.items():
        for what, corner in (('even', 1.0), ('60 %', 0.6)):
            if arguments.only not in f'{name}, {what}':
                continue
            light = scenes.vignette(SIDE, corner)
            scene = scenes.CutScene.cut(picture(), light, OVERLAP, arguments.count)
            row(name, what, 'as said', errors(scene, scene.said), seam_at(scene, scene.said), None, 0)
            for result in ours(scene, light):
                row(name, what, *result)
            compare(name, what, scene, light, peers)


def compare(name, what, scene, light, peers):
    with tempfile.TemporaryDirectory(prefix='girder-zarr-bench-') as folder:
        path = Path(folder, 'scene.npz')
        grid = np.rint((scene.said - scene.said.min(axis=0)) / (SIDE - OVERLAP)).astype(int)
        np.savez(path, tiles=np.array(scene.tiles), said=scene.said, grid=grid, shift=SHIFT)
        for peer, python in peers:
            found, cpu = asked(peer, python, path)
            if found is None:
                print(f'| {name}, {what} | {peer} | {cpu[:60]} | | | | | |', flush=True)
            elif peer == 'basicpy':
                row(name, what, peer, None, None, deviation(found, light), cpu)
            else:
                row(name, what, peer, errors(scene, found), seam_at(scene, found), None, cpu)


if __name__ == '__main__':
    main()
