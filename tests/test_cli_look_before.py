"""`girder-zarr stitch --dry-run`, its JSON and its maps; what is refused before a session is made."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import tifffile

from girder_zarr import cli
from support.microscopes import PROGRAMS
from support.scripted_server import scripted_server
from support.tile_folders import cut, picture, save, tiles


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(['stitch', 'folder', *map(str, arguments)])
    out = capsys.readouterr()
    return caught.value.code, out.out, out.err


@pytest.mark.parametrize('program', PROGRAMS)
def test_every_program_needs_no_option_for_a_look(program, tmp_path, capsys):
    (tmp_path / 'in').mkdir()
    folder = PROGRAMS[program](tmp_path / 'in')
    options = ['--pixel-size', '0.5'] if program.startswith('micromanager_pos') else []
    code, out, err = run(capsys, folder.source, '--dry-run', '--map', tmp_path / 'map.svg', *options)
    assert (code, err) == (0, ''), out + err
    assert 'Positions of ' in out
    assert '128 x 72 pixels' in out
    assert '100.0% covered' in out
    drawing = ET.parse(tmp_path / 'map.svg').getroot()
    assert sum(one.get('class') == 'tile' for one in drawing.iter()) == 6


def test_a_look_as_json_and_with_a_drawing_beside(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = picture()
    for row, column, y, x in tiles():
        save(tmp_path / 'scan' / f'img_r{row + 1}_c{column + 1}.tif', cut(whole, y, x))
    code, out, _ = run(capsys, 'scan', '--dry-run', '--json', '--overlap', '8', '--name', 'Slide 7')
    found = json.loads(out)
    assert code == 0
    (image,) = found['images']
    assert image['size'] == {'x': 128, 'y': 72}
    assert image['overlap']['x']['median'] == 8
    assert found['maps'] == ['Slide 7-map.svg']
    assert (tmp_path / 'Slide 7-map.svg').is_file()
    assert 'r{row}_c{col}' in found['guess'][0]


def test_another_direction_and_an_empty_image_are_said(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole, lines = picture(), ['file,x,y']
    for at, (_row, _column, y, x) in enumerate(tiles()):
        save(tmp_path / f't{at}.tif', cut(whole, y, x))
        lines.append(f't{at}.tif,{x},{-y}')
    (tmp_path / 'p.csv').write_text('\n'.join(lines))
    _, _, err = run(capsys, 'p.csv', '--dry-run')
    assert 'fit better with --flip-y' in err
    _, _, err = run(capsys, 'p.csv', '--dry-run', '--flip-y')
    assert err == ''
    (tmp_path / 'p.csv').write_text('\n'.join([*lines[:-1], 't5.tif,99000,88000']))
    _, _, err = run(capsys, 'p.csv', '--dry-run', '--flip-y')
    assert 'of the image would be covered' in err
    assert 'apart from all others, such as t5.tif' in err


def test_a_plate_is_an_image_for_each_well(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for well in ('A01', 'B12'):
        for field in (1, 2):
            save(tmp_path / 'in' / f'p_{well}_s{field}_w1.tif', np.full((8, 8), field, np.uint8))
    options = ['--columns', '2', '--dry-run', '--json']
    _, out, _ = run(capsys, 'in', *options)
    found = json.loads(out)
    assert [(one['name'], one['size']) for one in found['images']] == [
        ('in A01', {'x': 16, 'y': 8}),
        ('in B12', {'x': 16, 'y': 8}),
    ]
    _, out, _ = run(capsys, 'in', *options, '--well', 'b12')
    assert len(json.loads(out)['images']) == 1
    code, _, err = run(capsys, 'in', '--columns', '2', '--dry-run', '--well', 'C1')
    assert (code, 'expected one of A01, B12' in err) == (1, True)


def refusing(requests, patches=0):
    """A server that takes sessions and no patch."""

    def answer(method, path, headers, body):
        requests.append((method, path.partition('?')[0].removeprefix('/api/v1/')))
        if 'api_key/token' in path:
            return 200, {'authToken': {'token': 't', 'expires': ''}, 'user': {}}
        if method == 'POST' and path.endswith('/stitch_session'):
            return 200, {'_id': 's'}
        if method == 'GET' and '/patch' in path:
            return 200, []
        if method == 'PUT':
            return 415, {'message': 'It is not an image.'}
        if method == 'POST' and path.endswith('/patches'):
            # Threads share the patches out, so that a request has some of them.
            sent = [key for key in (f't{at}.tif' for at in range(6)) if key.encode() in body]
            return 200, {'patches': [{'key': key, 'status': 'refused'} for key in sent]}
        return 200, {'state': 'open', 'spec': {}, 'counts': {'patches': patches}}

    return answer


def table(folder):
    whole, lines = picture(), ['file,x,y']
    for at, (_row, _column, y, x) in enumerate(tiles()):
        save(folder / f't{at}.tif', cut(whole, y, x))
        lines.append(f't{at}.tif,{x},{y}')
    (folder / 'p.csv').write_text('\n'.join(lines))
    return folder / 'p.csv'


@pytest.mark.parametrize('patches', [0, 3])
def test_a_session_that_stays_empty_is_removed(patches, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
    requests = []
    with scripted_server(refusing(requests, patches)) as (girder, _):
        code, out, err = run(
            capsys, table(tmp_path), '--api-key', 'k', '--api-url', girder.urlBase.rstrip('/'), '--quiet'
        )
    assert code == 1
    assert '6 of 6 patches were refused' in err
    assert 'Patch t3.tif (file t3.tif): It is not an image.' in err
    assert (('DELETE', 'stitch_session/s') in requests) == (patches == 0)
    assert bool(list((tmp_path / 'state').rglob('*.json'))) == (patches > 0)


def test_what_cannot_be_stitched_is_listed_before_a_session_is_made(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
    source = table(tmp_path)
    (tmp_path / 't1.tif').write_bytes((tmp_path / 't1.tif').read_bytes()[:3000])
    tifffile.imwrite(tmp_path / 't4.tif', np.zeros((40, 48), np.float32))
    requests = []
    with scripted_server(refusing(requests)) as (girder, _):
        address = ['--api-key', 'k', '--api-url', girder.urlBase.rstrip('/')]
        code, _, err = run(capsys, source, *address)
        json_code, out, _ = run(capsys, source, *address, '--json')
        names_code, _, names = run(capsys, source, *address, '--channel-names', 'a,b')
    assert (code, json_code, names_code) == (1, 1, 1)
    assert '2 of 6 patches cannot be stitched' in err
    assert 'Patch t1.tif (file t1.tif): The tiff ends too early' in err
    assert 'Patch t4.tif (file t4.tif): expected uint16 with 1 bands as most patches have' in err
    document = json.loads(out)
    assert [one['key'] for one in document['refusals']] == ['t1.tif', 't4.tif']
    assert document['refusalCount'] == 2
    assert 'expected a name for each of 1 channels, found 2 names (a, b)' in names
    assert not any(path == 'stitch_session' for _, path in requests)
