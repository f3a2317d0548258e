"""Position files that are damaged, hostile, or do not say where a patch lies."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from girder_zarr.errors import InvalidInputError, LimitExceededError
from girder_zarr.stitch.positions.reading import (
    FileLookup,
    decode_text,
    parse_json,
    parse_small_json,
    parse_xml,
    unit_of,
)
from girder_zarr.stitch.positions.recognise import read_positions, recognise
from support.microscopes import harmony
from support.stitchers import bigstitcher
from support.tile_folders import save

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('dim = 4\na.tif; ; (1, 2, 3, 4)\n', 'expected a line dim = 2 or dim = 3, found dim = 4'),
        ('dim = 2\na.tif; ; (1, 2)\nb.tif (3, 4)\n', 'Line 3 of f: expected file; series'),
        ('dim = 2\na.tif; ; (1, 2, 3)\n', 'expected 2 numbers'),
        ('dim = 2\na.tif; ; (1, left)\n', "position: expected a number, found ' left'"),
        ('dim = 2\nb.tif; ; (1, 2)\n', "expected the name of a file, found 'b.tif'"),
        ('file: a.tif; corr: 1; position: (1); grid: (0, 0);', 'expected two numbers'),
        ('{"POSITIONS": [{"LABEL": "P", "DEVICES": []}]}', 'position P: expected x and y of a stage'),
        ('{"Summary": {}, "FrameKey-0-0-0": {"FileName": "a.tif"}}', 'a.tif: expected XPositionUm'),
        ('<EvaluationInputData><Image><URL>a.tif</URL></Image></EvaluationInputData>', 'expected PositionX'),
        ('<EvaluationInputData><Images/></EvaluationInputData>', 'has no patch'),
        ('<TeraStitcher><STACK ABS_H="1" ABS_V="x" ABS_D="0"/></TeraStitcher>', 'ABS_V: expected a number'),
        ('<SpimData><ImageLoader format="bdv.n5"/></SpimData>', 'image files .*found bdv.n5'),
        ('<OME><Image><Pixels SizeC="1" SizeZ="1" SizeT="99999999"/></Image></OME>', 'at most 10000000'),
        ('<OME><Image><Pixels SizeC="1" SizeZ="1" SizeT="1"/></Image></OME>', 'expected TiffData'),
        ('<TeraStitcher><STACK', 'cannot be read as XML'),
    ],
)
def test_a_damaged_file_is_refused_with_what_was_expected(text: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        read_positions(text, 'f', FileLookup(None, ['a.tif']))


def test_entities_and_deep_documents_are_refused() -> None:
    laughs = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]><TeraStitcher>&c;</TeraStitcher>'
    with pytest.raises(InvalidInputError, match='without entities'):
        read_positions(laughs, 'f', FileLookup(None, []))
    with pytest.raises(LimitExceededError, match=r'f is more than is read as JSON: .* 64 levels'):
        parse_json('[' * 100_000, 'f')
    assert parse_json('{"a": {"b": 1}', 'f') == {'a': {'b': 1}}
    assert (
        parse_xml('<?xml version="1.0" encoding="UTF-16"?><a xmlns="urn:x"><b/></a>', 'f').find('b')
        is not None
    )


def test_json_is_counted_before_anything_is_made_of_it() -> None:
    bomb = '[' + '[],' * 2_000_000 + '[]]'
    for text in (bomb, '{"Summary": ' + bomb + '}', '{"Summary": ' + bomb):
        tracemalloc.start()
        with pytest.raises(LimitExceededError, match='f is more than is read as JSON: it holds more than'):
            parse_json(text, 'f')
        assert tracemalloc.get_traced_memory()[1] < 5 * len(text)
        tracemalloc.stop()
    assert parse_small_json(bomb) is None
    assert parse_small_json('[' * 20_000 + ']' * 20_000) is None
    frames = {f'FrameKey-{at}-0-0': {'FileName': f'{at}.tif', 'XPositionUm': at} for at in range(100_000)}
    assert parse_json(json.dumps(frames), 'f') == frames


def test_a_cell_of_a_table_holds_no_more_than_an_index() -> None:
    deep = '{"a":' * 5000 + '1' + '}' * 5000
    table = f'file\tx\ty\tindex\na.tif\t1\t2\t{deep}\n'
    with pytest.raises(InvalidInputError, match='index: expected a JSON object of whole numbers'):
        read_positions(table, 'f', FileLookup(None, ['a.tif']))


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be', 'cp1252'])
def test_text_is_read_in_its_encoding(encoding: str) -> None:
    text = 'Datei;x (\u00b5m);y (\u00b5m)\nKachel \u00fc.tif;1;2\n'
    assert decode_text(text.encode(encoding), 'f').lstrip('\ufeff') == text


@pytest.mark.parametrize(
    ('text', 'name'),
    [
        ('um', 'micrometer'), ('\u00b5m', 'micrometer'), ('\u03bcm', 'micrometer'), ('microns', 'micrometer'),
        ('MM', 'millimeter'), ('m', 'meter'), ('px', 'pixel'), ('Pixels', 'pixel'), ('nm', 'nanometer'),
    ],
)  # fmt: skip
def test_units_have_their_names_in_ngff(text: str, name: str) -> None:
    assert unit_of('f', text) == name


def test_files_are_found_where_they_were_moved_to() -> None:
    files = FileLookup(None, ['scan/Pos1/A.tif', 'scan/Pos2/a.tif', 'B.TIF'])
    assert files.find('D:\\old\\Pos1\\a.tif') == 'scan/Pos1/A.tif'
    assert files.find('/home/x/Pos2/a.tif') == 'scan/Pos2/a.tif'
    assert files.find('b.tif') == 'B.TIF'
    assert files.find('a.tif') is None
    assert files.find('') is None


def test_two_position_files_are_not_chosen_from(tmp_path: Path) -> None:
    harmony(tmp_path)
    (tmp_path / 'MIST.txt').write_text('file: a.tif; corr: 1; position: (0, 0); grid: (0, 0);')
    with pytest.raises(InvalidInputError, match='one position file'):
        recognise(tmp_path)


def test_a_page_without_a_position_is_named(tmp_path: Path) -> None:
    tag = (51123, 's', 0, '{"XPositionUm": 1, "YPositionUm": 2}', True)
    with tifffile.TiffWriter(tmp_path / 'scan_MMStack.ome.tif') as tiff:
        for tags in ([tag], []):
            tiff.write(np.zeros((40, 48), np.uint16), metadata=None, extratags=tags)
    with pytest.raises(InvalidInputError, match='page 1: expected XPositionUm'):
        recognise(tmp_path)


@pytest.mark.parametrize(
    ('was', 'becomes', 'words'),
    [
        ('1.0 0.0 0.0 2.0 0.0 1.0', '0.0 -1.0 0.0 2.0 1.0 0.0', 'found a registration that turns'),
        ('1.0 0.0 0.0 2.0 0.0 1.0', '-1.0 0.0 0.0 2.0 0.0 1.0', 'found a registration that turns, mirrors'),
        ('1.0 0.0 0.0 2.0 0.0 1.0', '1.0 0.0 0.0 2.0 0.0', 'of 12 numbers, found affine of 11'),
        ('timepoint="0" setup="3"', 'timepoint="0" setup="99"', 'view setup 3 .* a ViewRegistration for it'),
        ('<id>3</id>', '<id>99</id>', 'view setup 3 .* expected a ViewSetup'),
        ('raw/tile1_ch1.tif', 'raw/gone.tif', "expected the name of a file, found 'raw/gone.tif'"),
    ],
)
def test_a_dataset_that_cannot_be_placed_is_refused(
    was: str, becomes: str, words: str, tmp_path: Path
) -> None:
    bigstitcher(tmp_path)
    dataset = tmp_path / 'dataset.xml'
    text = dataset.read_text()
    assert was in text
    dataset.write_text(text.replace(was, becomes, 1))
    with pytest.raises(InvalidInputError, match=words):
        recognise(tmp_path)


def test_a_folder_of_which_nothing_is_known_is_refused(tmp_path: Path) -> None:
    for name in ('left.tif', 'right.tif'):
        save(tmp_path / name, np.zeros((4, 4), np.uint8))
    with pytest.raises(InvalidInputError, match='found left'):
        recognise(tmp_path)
