"""`girder-zarr validate` as a shell, and as the official conformance suite, calls it."""

import json

import numpy as np
import pytest

from girder_zarr import image
from girder_zarr.cli.command import main


@pytest.fixture
def path(tmp_path):
    pytest.importorskip('jsonschema')
    sink = image.new()
    sink.addTile(np.zeros((100, 100, 3), 'uint8'), 0, 0)
    sink.write(tmp_path / 'a.ome.zarr')
    return tmp_path / 'a.ome.zarr'


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(['validate', *map(str, arguments)])
    output = capsys.readouterr()
    return ended.value.code, output.out, output.err


def damage(path):
    document = json.loads((path / 'zarr.json').read_text())
    document['attributes']['ome']['multiscales'][0]['datasets'][0]['path'] = 'lost'
    (path / 'zarr.json').write_text(json.dumps(document))


def test_text_and_exit_code(capsys, path):
    code, out, _ = run(capsys, path)
    assert (code, out.splitlines()[-1].startswith('valid (1 groups')) == (0, True), out
    damage(path)
    code, out, _ = run(capsys, path)
    assert code == 1
    assert 'error  lost: there is no array' in out
    assert out.splitlines()[-1].startswith('not valid')


def test_json(capsys, path):
    damage(path)
    code, out, _ = run(capsys, path, '--json')
    report = json.loads(out)
    assert (code, report['valid'], set(report)) == (1, False, {'valid', 'errors', 'hints', 'looked'})


def test_as_the_conformance_suite_calls_it(capsys, path, tmp_path):
    """The suite appends the path, wants exit code 0, and reads one JSON object with valid and message."""
    code, out, _ = run(capsys, '--conformance', path)
    assert (code, json.loads(out)) == (0, {'valid': True, 'message': ''})
    attributes = json.loads((path / 'zarr.json').read_text())['attributes']
    for changed, valid in ((attributes, True), ({'ome': {'version': '0.5', 'multiscales': []}}, False)):
        (tmp_path / 'case.json').write_text(json.dumps(changed))
        code, out, _ = run(capsys, '--conformance', tmp_path / 'case.json')
        assert (code, json.loads(out)['valid']) == (0, valid), out
    damage(path)
    code, out, _ = run(capsys, '--conformance', path)
    assert (code, json.loads(out)['valid']) == (0, False)


def test_nothing_there(capsys, tmp_path):
    code, _, err = run(capsys, tmp_path / 'none.zarr')
    assert (code, 'There is no file' in err) == (1, True)


def test_hierarchies_of_the_suite_are_documents_alone(capsys, path, tmp_path):
    """Its cases of mode "zarr" are a zarr.json without the arrays, wells and fields that it names."""
    attributes = json.loads((path / 'zarr.json').read_text())['attributes']
    case = tmp_path / 'case.ome.zarr'
    case.mkdir()
    for changed, valid in ((attributes, True), ({'ome': {**attributes['ome'], 'multiscales': []}}, False)):
        content = {
            'zarr_format': 3,
            'node_type': 'group',
            'attributes': {**changed, '_conformance': {'valid': valid}},
        }
        (case / 'zarr.json').write_text(json.dumps(content))
        code, out, _ = run(capsys, '--conformance', case)
        assert (code, json.loads(out)['valid']) == (0, valid), out
    assert run(capsys, case)[0] == 1
