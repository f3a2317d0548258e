"""RabbitMQ and Erlang from Debian's packages, unpacked without root into a folder of the user's cache.

    python tests/support/rabbitmq_packages.py [--pin]

Prints where they lie. 34 MB are fetched by apt-get, 58 MB on the disk, once. `requirements/rabbitmq.txt` has
the versions and digests; `--pin` writes into it what apt offers now.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import filelock

PINS = Path(__file__).parents[2] / 'requirements/rabbitmq.txt'
HEAD = """\
# Debian's packages of RabbitMQ and of what it needs of Erlang, with their SHA-256, for the tests that start a
# rabbitmq-server: tests/support/rabbitmq_packages.py, which writes this file with --pin.
"""
#: Those that were tried; the programs take libc, OpenSSL and some more from the machine.
ARCHITECTURE = 'amd64'
#: Seconds for a command of apt.
PATIENCE = 300


class UnavailableError(Exception):
    """They cannot be had here; says why."""


@functools.cache
def unpacked() -> Path:
    """Return the folder that holds `usr/lib/rabbitmq` and `usr/lib/erlang`; fetch them at the first time.

    :raises UnavailableError: this is no machine of the kind, or nothing can be fetched.
    """
    pins = read_pins(PINS.read_text())
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'girder-zarr'
    folder = cache / f'rabbitmq-{hashlib.sha256(PINS.read_bytes()).hexdigest()[:12]}'
    cache.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(cache / 'rabbitmq.lock'):
        if not folder.is_dir():
            check_machine()
            with tempfile.TemporaryDirectory(dir=cache, prefix='rabbitmq-') as temporary:
                tree = unpack(fetch(pins, Path(temporary)), Path(temporary) / 'tree')
                relocate(tree, folder)
                tree.rename(folder)
    return folder


def check_machine() -> None:
    """:raises UnavailableError: there is no apt, or another processor."""
    missing = [name for name in ('apt-get', 'apt-cache', 'dpkg', 'dpkg-deb') if shutil.which(name) is None]
    if missing:
        msg = f'only Debian has these packages, and there is no {missing[0]} here'
        raise UnavailableError(msg)
    if (found := run('dpkg', '--print-architecture').strip()) != ARCHITECTURE:
        msg = f'the packages are those for {ARCHITECTURE}, and this is {found}'
        raise UnavailableError(msg)


def read_pins(text: str) -> dict[str, tuple[str, str]]:
    """Return version and digest by the package's name."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith('#')]
    return {package: (version, digest) for package, version, digest in lines}


def fetch(pins: dict[str, tuple[str, str]], folder: Path) -> list[Path]:
    """Return the files of the packages, below a folder, with their digests checked.

    :raises UnavailableError: apt does not offer these versions, or they are not what they were.
    """
    # The machine's lists of packages may be missing or old; the others need no root.
    lists, cache = folder / 'lists', folder / 'cache'
    own = ['-o', f'Dir::State::Lists={lists}', '-o', f'Dir::Cache={cache}', '-o', 'APT::Sandbox::User=']
    named = [f'{package}={version}' for package, (version, _) in pins.items()]
    files = folder / 'files'
    for options in ([], own):
        if options:
            for place in (lists / 'partial', cache / 'archives/partial'):
                place.mkdir(parents=True)
            run('apt-get', *own, '-q', 'update')
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir()
        try:
            run('apt-get', *(options or own[-2:]), '-q', 'download', *named, cwd=files)
        except UnavailableError as error:
            said = error
        else:
            return check_digests(files, pins)
    newer = 'python tests/support/rabbitmq_packages.py --pin takes those that there are now'
    msg = f'apt does not offer the packages of {PINS.name} ({newer}): {said}'
    raise UnavailableError(msg)


def check_digests(folder: Path, pins: dict[str, tuple[str, str]]) -> list[Path]:
    """Return the files in a folder.

    :raises UnavailableError: one has another digest than was pinned.
    """
    found = sorted(folder.glob('*.deb'))
    for path in found:
        package = path.name.partition('_')[0]
        if hashlib.sha256(path.read_bytes()).hexdigest() != pins[package][1]:
            msg = f'{path.name} has another digest than that in {PINS.name}'
            raise UnavailableError(msg)
    if len(found) != len(pins):
        msg = f'{len(found)} of {len(pins)} packages came'
        raise UnavailableError(msg)
    return found


def unpack(files: list[Path], tree: Path) -> Path:
    """Unpack packages into a new folder; return it. None of their scripts runs."""
    tree.mkdir()
    for path in files:
        run('dpkg-deb', '--extract', str(path), str(tree))
    return tree


def relocate(tree: Path, home: Path) -> None:
    """Let Erlang's scripts look for its files below `home`, where the tree goes, in place of ``/usr``."""
    for name in ('bin/erl', 'bin/start'):
        for path in (tree / 'usr/lib/erlang').glob(f'**/{name}'):
            if path.is_file() and not path.is_symlink():
                root = shlex.quote(f'{home}/usr/lib/erlang')
                lines = path.read_text().replace('ROOTDIR=/usr/lib/erlang\n', f'ROOTDIR={root}\n')
                path.write_text(lines)


def write_pins() -> None:
    """Write the versions that apt offers now, and their digests, from the lists that Debian has signed."""
    said = run('apt-cache', 'show', '--no-all-versions', *read_pins(PINS.read_text()))
    stanzas = [dict(re.findall(r'(?m)^(Package|Version|SHA256): (.+)$', one)) for one in said.split('\n\n')]
    lines = [f'{one["Package"]} {one["Version"]} {one["SHA256"]}\n' for one in stanzas if one]
    PINS.write_text(HEAD + ''.join(lines))


def run(*command: str, cwd: Path | None = None) -> str:
    """Return what a command prints.

    :raises UnavailableError: it failed.
    """
    environment = {**os.environ, 'LC_ALL': 'C', 'DEBIAN_FRONTEND': 'noninteractive'}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f'{command[0]}: {error}'
        raise UnavailableError(msg) from error
    if done.returncode:
        msg = ' '.join(done.stderr.split())[:500]
        raise UnavailableError(msg)
    return done.stdout


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--pin', action='store_true', help=f'write {PINS.name} anew')
    if parser.parse_args(arguments).pin:
        write_pins()
    try:
        print(unpacked())
    except UnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
