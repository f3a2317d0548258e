"""What the docs name exists: modules and functions, files of the package, imports of the examples."""

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]
#: Names in the docs that look like modules and are keys: of an image's metadata, of a tar's header.
KEYS = {'girder_zarr.bands', 'girder_zarr.folded', 'girder_zarr.stitch', 'girder_zarr.patch'}


def found(pattern):
    """Everything that a pattern finds in the docs, with the files that it stands in."""
    where = {}
    for path in DOCS:
        for one in re.findall(pattern, path.read_text(encoding='utf-8')):
            where.setdefault(one, set()).add(path.name)
    return where


NAMES = found(r'`(girder_zarr(?:\.\w+)+)')
IMPORTS = found(r'(?m)^\s*((?:from girder_zarr[\w.]* import [\w, ]+|import girder_zarr[\w.]*))')
FILES = found(r'\b(girder_zarr/[\w/]+\.py)\b')


PICTURES = [
    (path, name)
    for path in DOCS
    for name in re.findall(r'!\[[^]]*\]\(([^)\s]+)\)', path.read_text(encoding='utf-8'))
    if '://' not in name
]


def resolved(name):
    """The module or attribute that a dotted name stands for."""
    module, attributes = name, []
    while True:
        try:
            value = importlib.import_module(module)
            break
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith('girder_zarr'):
                pytest.skip(f'{name} needs {error.name}')
            module, _, attribute = module.rpartition('.')
            attributes.insert(0, attribute)
    for attribute in attributes:
        value = getattr(value, attribute)
    return value


@pytest.mark.parametrize('name', sorted(set(NAMES) - KEYS))
def test_names_in_the_docs_can_be_imported(name):
    try:
        resolved(name)
    except AttributeError as error:
        pytest.fail(f'{", ".join(NAMES[name])} names {name}: {error}')


@pytest.mark.parametrize('line', sorted(IMPORTS))
def test_imports_of_the_examples_work(line):
    words = re.split(r'[\s,]+', line.strip())
    if words[0] == 'import':
        resolved(words[1])
        return
    for name in words[3:]:
        resolved(f'{words[1]}.{name}')


@pytest.mark.parametrize('name', sorted(FILES))
def test_files_that_the_docs_name_exist(name):
    assert (ROOT / 'plugin' / name).is_file(), f'{", ".join(FILES[name])} names {name}'


@pytest.mark.parametrize(('path', 'name'), PICTURES)
def test_pictures_of_the_docs_exist(path, name):
    assert (path.parent / name).is_file(), f'{path.name} shows {name}'


#: The programs that the examples start, which are not where the examples say.
PROGRAMS = re.compile(r'(?m)^(ExecStart=)/\S+')
UNITS = found(r'(?ms)^```ini\n# \S+?/([\w-]+\.service)$(.+?)^```')


@pytest.mark.skipif(shutil.which('systemd-analyze') is None, reason='no systemd-analyze')
@pytest.mark.parametrize(('name', 'text'), sorted(UNITS))
def test_systemd_takes_the_units_of_the_docs(name, text, tmp_path):
    unit = tmp_path / name
    unit.write_text(PROGRAMS.sub(rf'\1{sys.executable}', text))
    done = subprocess.run(
        ['systemd-analyze', 'verify', '--man=no', str(unit)], capture_output=True, text=True, check=False
    )
    # It looks at other units of the machine as well.
    assert [line for line in done.stderr.splitlines() if name in line] == []
    assert done.returncode == 0, done.stderr


def test_something_was_found():
    assert {'girder_zarr.image', 'girder_zarr.image.allow_hosts', 'girder_zarr.image.limits.follow'} <= set(
        NAMES
    )
    assert set(NAMES) >= KEYS, 'a key that no page names any more'
    assert IMPORTS
    assert FILES
    assert PICTURES
    assert UNITS
