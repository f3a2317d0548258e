"""The rooms of docs/architecture.md, held against the imports that the code really has.

Every import counts: those under ``TYPE_CHECKING`` and those inside functions too.
"""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / 'plugin' / 'girder_zarr'

#: All rooms, lowest first; a room imports only from rooms before it. A single module may be a room.
ROOMS = [
    'errors',
    'common',
    'image.limits',
    'image.store',
    'image.serve',
    'image.ngff',
    'image.chunk',
    'image.series',
    'image.hierarchy',
    'image.validate',
    'image.render',
    'image.write',
    'image.virtual',
    'image.iiif',
    'image.canvas',
    'image.export',
    'image.edit',
    'image.sink',
    'image.style_functions',
    'image.source',
    'image',
    'stitch.formats',
    'stitch.patch',
    'stitch.spec',
    'stitch.extent',
    'stitch.registration.result',
    'stitch.illumination.flat_field',
    'stitch.plan',
    'stitch.registration',
    'stitch.illumination',
    'stitch.blend',
    'stitch.output',
    'stitch.preview',
    'stitch.positions',
    'stitch.arrange',
    'stitch',
    'server.common',
    'server.settings',
    'server.storage',
    'server.tile_sources',
    'server.sessions',
    'server.patches',
    'server.ingest',
    'server.leases',
    'server.preview',
    'server.share',
    'server.iiif',
    'server.jobs',
    'server.source_runs',
    'server.maintenance',
    'server.http_input',
    'server.api',
    'server.web_client',
    'server.girder3',
    'server.plugin',
    'server',
    'worker_plugin',
    '',
    'client',
    'stack',
    'cli',
]
#: What the rooms beside the server may import; all others may import whatever stands before them.
BESIDE = {
    # position files and what follows from them need neither Girder nor a server
    'client': {'errors', 'stitch.positions', 'stitch.arrange'},
    'stack': {'errors', 'image', 'client'},
    'cli': {'errors', 'image', 'stitch.formats', 'stitch.positions', 'stitch.arrange', 'client', 'stack'},
}
MAX_MODULES = 14
MAX_LINES = 420
WITHOUT_GIRDER = ('errors', 'common', 'image', 'stitch')
#: server/ moves bytes and documents; pixels are for the floors below.
NO_PIXELS = {'numpy', 'PIL', 'cv2', 'tifffile', 'imagecodecs', 'zarr', 'numcodecs'}
HTTP = {'requests', 'cherrypy', 'urllib', 'http'}
#: Names that several modules have, and why.
SAME_MODULE_NAMES: dict[str, str] = {
    'model': 'what a room is about: metadata of NGFF, documents of Girder, the spec of a stitched image',
    'patch': 'the public class Patch of client and of stitch; see SAME_CLASS_NAMES',
}
SAME_CLASS_NAMES: dict[str, str] = {
    'Patch': 'public names: bytes to be uploaded in client, geometry without pixels in stitch',
}


def paths():
    return sorted(path for path in PACKAGE.rglob('*.py') if 'dist' not in path.parts)


def key_of(path):
    """The name of a module below girder_zarr, such as ``server.jobs.run``; a package has its own."""
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


MODULES = {key_of(path): path for path in paths()}


def room_of(key):
    """The longest room that a module's name begins with."""
    parts = key.split('.')
    while parts and '.'.join(parts) not in ROOMS:
        parts.pop()
    return '.'.join(parts)


def is_below(key, floors):
    return any(key == floor or key.startswith(f'{floor}.') for floor in floors)


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


def imported_modules(key):
    """The modules of ours that a module imports; a name taken from a package counts as that package."""
    found = set()
    for name in imported_names(MODULES[key]):
        if not name.startswith('girder_zarr.'):
            continue
        inner = name.removeprefix('girder_zarr.')
        while inner and inner not in MODULES:
            inner = inner.rpartition('.')[0]
        found.add(inner)
    return found - {key}


GRAPH = {key: imported_modules(key) for key in MODULES}


@pytest.mark.parametrize('key', MODULES, ids=lambda key: key or '__init__')
def test_a_room_imports_only_from_the_rooms_below(key):
    room = room_of(key)
    assert room or key == '', f'{key} is in no room'
    for other in GRAPH[key]:
        below = room_of(other)
        if below == room:
            continue
        assert ROOMS.index(below) < ROOMS.index(room), f'{key} imports {other}, which is above it'
        if room in BESIDE:
            assert is_below(below, BESIDE[room]), f'{key} imports {other}'
        else:
            assert below not in BESIDE, f'{key} imports {other}'


@pytest.mark.parametrize('key', MODULES, ids=lambda key: key or '__init__')
def test_a_floor_knows_nothing_of_what_is_above_it(key):
    for name in imported_names(MODULES[key]):
        top = name.partition('.')[0]
        if is_below(key, WITHOUT_GIRDER):
            assert top == 'girder_zarr' or not top.startswith('girder'), f'{key} imports {name}'
        if is_below(key, ['server']):
            assert top not in NO_PIXELS, f'{key} handles pixels: {name}'
        if is_below(key, ['stitch']):
            assert top not in HTTP, f'{key} knows HTTP: {name}'


def circles(graph):
    """The strongly connected parts of a graph that hold more than one node (Tarjan 1972)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(part) > 1:
                found.append(sorted(part))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_a_circle_is_seen():
    assert circles({'a': {'b'}, 'b': {'c'}, 'c': {'a'}, 'd': {'a'}}) == [['a', 'b', 'c']]
    assert circles({'a': {'b', 'c'}, 'b': {'c'}, 'c': set()}) == []


def test_no_module_imports_itself_in_a_circle():
    assert circles(GRAPH) == []


def test_a_room_has_few_modules():
    rooms = defaultdict(list)
    for path in paths():
        if path.name != '__init__.py':
            rooms[path.parent.relative_to(PACKAGE)].append(path.name)
    large = {str(room): len(names) for room, names in rooms.items() if len(names) > MAX_MODULES}
    assert not large, f'over {MAX_MODULES} modules: {large}'


def test_modules_stay_readable():
    ours = [*paths(), *(ROOT / 'tests').rglob('*.py'), *(ROOT / 'benchmarks').rglob('*.py')]
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding='utf-8').splitlines()) for path in ours
    }
    long = {name: length for name, length in lengths.items() if length > MAX_LINES}
    assert not long, f'over {MAX_LINES} lines: {long}'


def names_twice(named):
    """The names that more than one module has, each with those modules."""
    where = defaultdict(list)
    for name, key in named:
        where[name].append(key)
    return {name: keys for name, keys in where.items() if len(keys) > 1}


def test_no_two_modules_have_one_name():
    names = ((key.rpartition('.')[2], key) for key, path in MODULES.items() if path.name != '__init__.py')
    twice = names_twice(names)
    assert {name: keys for name, keys in twice.items() if name not in SAME_MODULE_NAMES} == {}
    assert set(SAME_MODULE_NAMES) <= set(twice), 'a reason that nothing needs any more'


def test_no_two_classes_have_one_name():
    named = (
        (node.name, key)
        for key, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, ast.ClassDef)
    )
    twice = names_twice(named)
    assert {name: keys for name, keys in twice.items() if name not in SAME_CLASS_NAMES} == {}
    assert set(SAME_CLASS_NAMES) <= set(twice), 'a reason that nothing needs any more'


def test_every_room_is_in_the_picture():
    picture = (ROOT / 'docs' / 'architecture.md').read_text(encoding='utf-8')
    missing = [room for room in ROOMS if room and f'`{room.replace(".", "/")}' not in picture]
    assert not missing, f'docs/architecture.md does not name {missing}'


def test_what_girder_3_is_given_knows_no_sessions():
    """Girder 3 lacks modules that sessions need; tox's girder3 has one, but not every run of the tests."""
    given = [name for name in imported_names(PACKAGE / 'server' / 'girder3.py') if 'girder_zarr' in name]
    assert 'girder_zarr.server.tile_sources.tile_source' in given
    names = ', '.join(given)
    code = (
        f'import sys, {names}; '
        'print(*(name for name in sys.modules if name.startswith("girder_zarr.server.sessions")))'
    )
    done = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == [], 'the sessions are imported by what Girder 3 loads'


TESTS = Path(__file__).parent


def test_no_script_stands_beside_a_module_of_pythons_name():
    """``python folder/script.py`` looks in that folder first: a ``collections.py`` there breaks ``json``."""
    scripts = [*(ROOT / 'tests').rglob('*.py'), *(ROOT / 'benchmarks').rglob('*.py')]
    guard = "__name__ == '__main__'"
    folders = {path.parent for path in scripts if guard in path.read_text(encoding='utf-8')}
    assert len(folders) > 1
    names = {path.stem for folder in folders for path in folder.iterdir()}
    assert not names & sys.stdlib_module_names


#: Neither Girder nor what comes with it is in the environment of the tests of these rooms (tox: core).
CORE_TESTS = ('image', 'stitch', 'common')
NOT_IN_CORE = ('girder', 'girder_client', 'girder_large_image', 'girder_worker', 'pymongo', 'pytest_girder')


def imports_when_read(path):
    """What a test module imports when it is collected; ``if TYPE_CHECKING`` and functions come later."""
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def imported_for(path, seen):
    """Pairs of a module and a name that it imports, through everything of ``tests/support``."""
    for name in imports_when_read(path):
        yield path, name
        support = TESTS.joinpath('support', *name.split('.')[1:2]).with_suffix('.py')
        if name.startswith('support.') and support.is_file() and support not in seen:
            seen.add(support)
            yield from imported_for(support, seen)


@pytest.mark.parametrize('room', CORE_TESTS)
def test_tests_of_the_core_need_no_girder(room):
    seen = set()
    for path in sorted(TESTS.joinpath(room).rglob('*.py')):
        for module, name in imported_for(path, seen):
            assert name.split('.')[0] not in NOT_IN_CORE, f'{module} imports {name}, for {path}'
