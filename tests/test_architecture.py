"""The floors of docs/architecture.md, held against the imports that the code really has."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / 'plugin' / 'girder_zarr'

ALLOWED = {
    'errors': set(),
    'image': {'errors'},
    'stitch': {'errors', 'image'},
    'server': {'errors', 'image', 'stitch'},
    'client_http': {'errors'},
    'client_patch': {'errors'},
    'client_positions': {'errors', 'client_patch'},
    'client': {'errors', 'client_http', 'client_patch'},
    'stack': {'errors', 'image', 'client'},
    '__init__': {'errors', 'image', 'stitch', 'server'},
    'worker_plugin': {'errors', 'image', 'stitch', 'server'},
    'cli_stitch': {'errors', 'stitch', 'client', 'client_positions'},
    'cli': {'errors', 'image', 'stack', 'cli_stitch'},
}
#: The floors inside image/, for what is imported at run time.
INSIDE_IMAGE = ['limits', 'store', 'ngff', 'chunk', 'read', 'write', 'sink', 'source']
WITHOUT_GIRDER = {'errors', 'image', 'stitch'}
#: server/ moves bytes and documents; pixels are for the floors below.
NO_PIXELS = {'numpy', 'PIL', 'cv2', 'tifffile', 'imagecodecs', 'zarr', 'numcodecs'}


def modules():
    return sorted(path for path in PACKAGE.rglob('*.py') if 'web_client' not in path.parts)


def room_of(path):
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix('.py')


def imported_names(path):
    """Absolute names of everything that a module imports, at whatever depth it does so."""
    package = ['girder_zarr', *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = '.'.join([*base, *([node.module] if node.module else [])])
            yield from (f'{module}.{alias.name}' for alias in node.names)


@pytest.mark.parametrize('path', modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_from_the_floors_below(path):
    room = room_of(path)
    assert room in ALLOWED, f'{room} is not a room of docs/architecture.md'
    for name in imported_names(path):
        top, *rest = name.split('.')
        if top == 'girder_zarr' and rest:
            inner = rest[0]
            known = inner in ALLOWED and inner != '__init__'
            allowed = ALLOWED[room] | {room}
            assert not known or inner in allowed, f'{path.name} in {room} imports {name}'
        if room in WITHOUT_GIRDER:
            assert top == 'girder_zarr' or not top.startswith('girder'), f'{path.name} imports {name}'
        if room == 'server':
            assert top not in NO_PIXELS, f'{path.name} handles pixels: {name}'
        if room == 'stitch':
            assert top not in {'requests', 'cherrypy', 'urllib', 'http'}, f'{path.name} knows HTTP: {name}'


@pytest.mark.parametrize('path', modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_image_has_floors_too(path):
    if room_of(path) != 'image' or path.name == '__init__.py':
        return
    own = path.relative_to(PACKAGE).parts[1].removesuffix('.py')
    above = INSIDE_IMAGE[INSIDE_IMAGE.index(own) + 1 :]
    for name in imported_names(path):
        parts = name.split('.')
        if parts[:2] == ['girder_zarr', 'image'] and len(parts) > 2:
            assert parts[2] not in above, f'{path.name} in image/{own} imports {name}'


def test_modules_stay_readable():
    lengths = {path.name: len(path.read_text(encoding='utf-8').splitlines()) for path in modules()}
    long = {name: length for name, length in lengths.items() if length > 420}
    assert not long, f'over 420 lines: {long}'


def test_every_module_is_in_the_picture():
    picture = (PACKAGE.parent.parent / 'docs' / 'architecture.md').read_text(encoding='utf-8')
    missing = [path.name for path in modules() if path.name not in picture]
    assert not missing, f'docs/architecture.md does not name {missing}'


def test_what_girder_3_is_given_knows_no_sessions():
    """Girder 3 lacks modules that sessions need; tox's girder3 has one, but not every run of the tests."""
    given = [name for name in imported_names(PACKAGE / 'server' / 'girder3.py') if 'girder_zarr' in name]
    assert 'girder_zarr.server.tilesource' in given
    # priorities.register adds the routes of priorities
    names = ', '.join([*given, 'girder_zarr.server.rest_priorities'])
    code = (
        f'import sys, {names}; '
        'print(*(name for name in sys.modules if name == "girder_zarr.server.sessions"))'
    )
    done = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == [], 'sessions.py is imported by what Girder 3 loads'
