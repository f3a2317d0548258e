"""`girder-zarr stitch`: where patches lie, what its options mean, and how it goes on after it was killed."""

import json

import numpy as np
import pytest
from PIL import Image

from girder_zarr import cli
from girder_zarr.cli import stitch as cli_stitch
from girder_zarr.cli.stitch_source import recognised_of, works_of
from girder_zarr.client.positions import read_folder, read_positions
from girder_zarr.errors import InvalidInputError, NotFoundError
from girder_zarr.stitch.spec.model import StitchSpec


def write(path, text):
    path.write_text(text, encoding='utf-8')
    return path


def pictures(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((80, 100), np.uint8)).save(folder / name)


def spec_sent(options):
    (work,) = works_of(options, recognised_of(options), cli_stitch.spec_of(options), 'name')
    return work.prepared.spec


def parsed(*arguments):
    return cli.build_parser().parse_args(['stitch', 'folder', *map(str, arguments)])


def test_positions_are_read_with_all_their_columns(tmp_path):
    for name in ('a b.png', 'sub-c.png'):
        (tmp_path / name).write_bytes(b'')
    table = write(
        tmp_path / 'p.csv',
        '\ufefffile,x,y,order,z,key,unit,weight,mask,index,comment\n'
        'a b.png, 1,-2.5,3,4,,micrometer,,alpha,"{""angle"": 2}",\n'
        'sub-c.png,5,6,,0,mine,,0.5,,,second\n\n',
    )
    first, second = read_positions(table)
    assert (first.key, first.order) == ('a_b.png', 3)
    assert first.fields == {
        'x': 1,
        'y': -2.5,
        'z': 4,
        'unit': 'micrometer',
        'order': 3,
        'mask': 'alpha',
        'index': {'angle': 2},
    }
    assert (second.key, second.fields) == ('mine', {'x': 5, 'y': 6, 'z': 0, 'order': 0, 'weight': 0.5})
    assert first.data == tmp_path / 'a b.png'
    (third,) = read_positions(write(tmp_path / 'q.csv', 'file,row,col\na b.png,-1,2\n'))
    assert third.fields == {'row': -1, 'column': 2, 'order': 0}


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('', 'Line 1 of .*: expected a header line with file, x and y.*; found nothing'),
        ('file,x\na.png,1\n', 'Line 1 of .*: expected .*; found file, x'),
        ('file,x,y,x\na.png,1,2,3\n', 'Line 1 of .*: expected each column once, found x twice'),
        ('file,x,y\n', 'has no patch'),
        ('file,x,y\na.png,left,2\n', "Line 2 of .*: x: expected a number, found 'left'"),
        ('file,x,y\n\na.png,1,nan\n', "Line 3 of .*: y: expected a number, found 'nan'"),
        ('file,x,y,z\na.png,1,2,0.5\n', "Line 2 of .*: z: expected a whole number, found '0.5'"),
        ('file,x,y,index\na.png,1,2,angle\n', 'Line 2 of .*: index: expected a JSON object'),
        ('file,x,y\na.png,,2\n', 'Line 2 of .*: x: expected a number, found nothing'),
        ('file,row,column\na.png,1,\n', 'Line 2 of .*: column: expected a number, found nothing'),
        ('file,x,y\na.png,1,2,3\n', 'Line 2 of .*: expected 3 cells as in the header, found 4'),
        ('file,x,y\nb.png,1,2\n', "Line 2 of .*: file: expected the name of a file, found 'b.png'"),
        ('file,x,y\na.png,1,2\na.png,3,4\n', 'more than one patch with the key a.png'),
    ],
)
def test_a_bad_table_is_refused_before_anything_is_sent(tmp_path, text, words):
    (tmp_path / 'a.png').write_bytes(b'')
    with pytest.raises(InvalidInputError, match=words):
        read_positions(write(tmp_path / 'p.csv', text))


def test_a_table_that_is_not_text_is_refused(tmp_path):
    (tmp_path / 'p.csv').write_bytes(b'\xff\xfe\x00file')
    with pytest.raises(InvalidInputError, match='cannot be read as csv'):
        read_positions(tmp_path / 'p.csv')


@pytest.mark.parametrize(
    ('pattern', 'name', 'said'),
    [
        ('x{x}_y{y}.tif', 'x480_y-20.tif', {'x': 480, 'y': -20}),
        ('x{x}_y{y}.tif', 'x1.5_y2.25.tif', {'x': 1.5, 'y': 2.25}),
        ('x{x}_y{y}', 'x480_y20.ome.tif', {'x': 480, 'y': 20}),
        ('r{row}_c{col}', 'r2_c-1.png', {'row': 2, 'column': -1}),
        (
            '*_r{row}_c{column}_z{z}_t{t}',
            'run 7_r0_c1_z003_t10.png',
            {'row': 0, 'column': 1, 'z': 3, 't': 10},
        ),
        ('w{c}/p_{x}_{y}_a{angle}.png', 'w1/p_3_4_a5.png', {'x': 3, 'y': 4, 'c': 1, 'index': {'angle': 5}}),
        ('{x}+{y}.png', '1+2.png', {'x': 1, 'y': 2}),
    ],
)
def test_positions_are_read_from_names(tmp_path, pattern, name, said):
    for one in (name, 'notes.txt', 'x1_y.tif', 'xx1_y2.tif'):
        (tmp_path / one).parent.mkdir(exist_ok=True)
        (tmp_path / one).write_bytes(b'')
    (patch,) = read_folder(tmp_path, pattern)
    assert patch.fields == {**said, 'order': 0}
    assert patch.data == tmp_path / name


@pytest.mark.parametrize(
    ('pattern', 'words'),
    [
        ('x{x}.tif', r'expected \{x\} and \{y\}, or \{row\} and \{col\}'),
        ('{x}_{x}_{y}', r'each once, found \{x\}'),
        ('{X}_{y}', r'found \{X\}'),
        ('{}_{y}', r'found \{\}'),
        ('tile{x}_{y}', r"expected names such as 'tile\{x\}_\{y\}', found a_1_2.png, b_1_2.png, c, ..."),
        ('{x}_{y}*', 'expected names such as'),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(tmp_path, pattern, words):
    for name in ('a_1_2.png', 'b_1_2.png', 'c', 'd'):
        (tmp_path / name).write_bytes(b'')
    with pytest.raises(InvalidInputError, match=words):
        read_folder(tmp_path, pattern)


def test_two_files_of_one_name_are_two_patches_only_with_their_folders(tmp_path):
    pictures(tmp_path, 'a/1_2.png', 'b/1_2.png')
    assert [patch.key for patch in read_folder(tmp_path, '*/{x}_{y}.png')] == ['a_1_2.png', 'b_1_2.png']
    with pytest.raises(InvalidInputError, match='expected a folder'):
        read_folder(tmp_path / 'a' / '1_2.png', '{x}_{y}.png')


def test_options_become_fields_of_the_spec(tmp_path):
    pictures(tmp_path, 'r0_c0.png', 'r0_c1.png')
    write(tmp_path / 'spec.json', '{"overlap": "last", "chunk": 256}')
    options = parsed(
        tmp_path, '--pattern', 'r{row}_c{col}', '--overlap', '10%', '--spec', tmp_path / 'spec.json',
        '--blend', 'feather', '--output', 'ozx', '--pixel-size', '0.5', '--unit', 'nanometer',
        '--channel-names', ' DAPI', '--background', '7', '--register', '--flatten',
    )  # fmt: skip
    spec = spec_sent(options)
    assert spec == {
        'overlap': 'feather',
        'chunk': 256,
        'output': 'ozx',
        'pixelSize': {'x': 0.5, 'y': 0.5, 'unit': 'nanometer'},
        'channelNames': ['DAPI'],
        'background': 7,
        'registration': {},
        'illumination': {},
        'grid': {'tile': {'x': 100, 'y': 80}, 'overlap': {'x': 10.0, 'y': 8.0}},
        'expected': 2,
    }
    StitchSpec.from_json(spec)
    options = parsed(
        tmp_path, '--pattern', 'r{row}_c{col}', '--overlap', '30,20.5', '--spec', '{"expected": 9}'
    )
    spec = spec_sent(options)
    assert spec == {'grid': {'tile': {'x': 100, 'y': 80}, 'overlap': {'x': 30.0, 'y': 20.5}}, 'expected': 9}


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['no-such.csv'], 'cannot be read as csv'),
        (['.'], 'expected --pattern'),
        (['p.csv', '--spec', '{'], '--spec has to be JSON'),
        (['p.csv', '--spec', '[1]'], '--spec has to be a JSON object, not'),
        (['p.csv', '--spec', 'none.json'], "found 'none.json'"),
        (['q.csv'], 'The size of the tiles cannot be read'),
        (['p.csv'], 'There is no Girder at http://127.0.0.1:1/api/v1'),
    ],
)
def test_the_command_line_says_what_is_wrong(capsys, monkeypatch, tmp_path, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a.png').write_bytes(b'')
    write(tmp_path / 'p.csv', 'file,x,y\na.png,1,2\n')
    write(tmp_path / 'q.csv', 'file,row,col\na.png,1,2\n')
    with pytest.raises(SystemExit) as caught:
        cli.main(['stitch', 'f', *arguments, '--api-key', 'k', '--api-url', 'http://127.0.0.1:1/api/v1'])
    assert caught.value.code == 1
    assert words in capsys.readouterr().err


def test_the_command_line_does_not_sign_in_without_a_key(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv('GIRDER_API_KEY', raising=False)
    (tmp_path / 'a.png').write_bytes(b'')
    table = write(tmp_path / 'p.csv', 'file,x,y\na.png,1,2\n')
    with pytest.raises(SystemExit):
        cli.main(['stitch', 'f', str(table)])
    assert 'An API key is needed' in capsys.readouterr().err


class Server:
    """Knows some sessions."""

    def __init__(self, *known):
        self.known = known

    def get(self, session_id):
        if session_id not in self.known:
            raise NotFoundError('There is no stitch session.')
        return {'_id': session_id}


def test_a_stopped_run_is_recognised_by_what_it_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
    table = tmp_path / 'p.csv'
    memory = cli_stitch.Memory(parsed(table), 'p', {'expected': 3})
    assert memory.session(Server('s')) is None
    memory.save('s')
    assert memory.session(Server('s')) == 's'
    assert memory.session(Server()) is None
    assert cli_stitch.Memory(parsed(table), 'p', {'expected': 4}).session(Server('s')) == 's'
    others = (
        (parsed(table, '--api-url', 'http://elsewhere/api/v1'), 'p', {}),
        (parsed(tmp_path / 'q.csv'), 'p', {}),
        (parsed(table, '--pattern', '{x}_{y}'), 'p', {}),
        (parsed(table), 'q', {}),
        (parsed(table), 'p', {'overlap': 'mean'}),
    )
    for other in others:
        assert cli_stitch.Memory(*other).session(Server('s')) is None
    (file,) = (tmp_path / 'state' / 'girder-zarr').iterdir()
    assert json.loads(file.read_text())['session'] == 's'
    file.write_text('{')
    assert memory.session(Server('s')) is None
    memory.forget()
    memory.forget()
    assert not file.exists()


def test_without_a_place_for_its_memory_the_command_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('XDG_STATE_HOME', str(write(tmp_path / 'state', '')))
    memory = cli_stitch.Memory(parsed(tmp_path / 'p.csv'), 'p', {})
    memory.save('s')
    assert 'go on with --session s' in capsys.readouterr().err
