"""Styles call functions on the list and no others, in our source and in those that the plugin restricts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import large_image
import numpy as np
import pytest
from large_image.exceptions import TileSourceError

from girder_zarr import image
from girder_zarr.errors import StyleError
from girder_zarr.image import style_functions
from support import styles

if TYPE_CHECKING:
    from pathlib import Path

NOTE = 'support.styles.note'
STAGES = ['pre', 'preband', 'band', 'postband', 'main', 'post']


@pytest.fixture
def path(tmp_path: Path) -> Path:
    sink = image.new()
    sink.addTile(np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3), 0, 0)
    sink.write(tmp_path / 'image.zarr.zip')
    return tmp_path / 'image.zarr.zip'


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style_functions, '_added', ())
    monkeypatch.setattr(style_functions, '_from_setting', lambda: ())
    monkeypatch.setattr(styles, 'CALLED', [])


def refused() -> list[Any]:
    each = [
        {'function': NOTE},
        {'function': [NOTE]},
        {'function': [[{'name': NOTE, 'stage': STAGES}]]},
        {'function': {'name': NOTE, 'stage': STAGES}},
        {'bands': [{'band': 1, 'function': NOTE}]},
        {'bands': [{'band': 1, 'function': {'name': NOTE, 'stage': 'pre'}}]},
        {'bands': [{'band': 1}, {'band': 2, 'function': {'name': NOTE, 'parameters': {}}}]},
        {'function': {'name': [NOTE]}},
        {'function': 7},
        {'function': 'large_image.tilesource.stylefuncs.np.load'},
        {'function': 'large_image.tilesource.stylefuncs.Any'},
        {'function': 'large_image.tilesource.stylefuncs.no_such_function'},
        {'function': 'large_image.tilesource.stylefuncs.'},
        {'function': 'large_image.tilesource.new'},
        {'function': ''},
    ]
    return [pytest.param(style, id=str(style)[:60]) for style in each]


@pytest.mark.parametrize('style', refused())
def test_a_function_that_is_not_on_the_list_is_refused_and_not_called(path: Path, style: Any) -> None:
    with pytest.raises(StyleError, match='is not on the list') as raised:
        image.open(str(path), style=style)
    assert isinstance(raised.value, TileSourceError)
    assert styles.CALLED == []


def test_a_style_set_later_is_checked_as_well(path: Path) -> None:
    source = image.open(str(path), noCache=True)
    with pytest.raises(StyleError):
        source.style = {'function': {'name': NOTE, 'stage': STAGES}}
    with pytest.raises(StyleError):
        source.getThumbnail(encoding='PNG')
    assert styles.CALLED == []


def test_functions_of_large_image_are_called(path: Path) -> None:
    median = {
        'name': 'large_image.tilesource.stylefuncs.medianFilter',
        'stage': 'main',
        'parameters': {'kernel': 5, 'weight': 1.5},
    }
    plain = image.open(str(path), style={'bands': [{'band': 1}]})
    filtered = image.open(str(path), style={'bands': [{'band': 1}], 'function': median})
    pixels = [source.getRegion(format='numpy')[0] for source in (plain, filtered)]
    assert not np.array_equal(*pixels)


@pytest.mark.parametrize('pattern', [NOTE, 'support.styles.*'])
def test_more_functions_can_be_allowed(path: Path, pattern: str) -> None:
    image.allow_style_functions(pattern)
    source = image.open(str(path), style={'function': {'name': NOTE, 'stage': STAGES}})
    source.getRegion(format='numpy')
    assert styles.CALLED


def test_a_setting_adds_functions_and_takes_them_back(path: Path) -> None:
    style = {'function': NOTE}
    listed: list[str] = [NOTE]
    style_functions.bind(lambda: tuple(listed))
    image.open(str(path), style=style)
    listed.clear()
    with pytest.raises(StyleError):
        image.open(str(path), style={**style, 'bands': [{'band': 1}]})


@pytest.mark.parametrize('name', ['', '*', 'module', '.a', 'a.', 'a.*.b', 'a b.c', 7, None])
def test_what_is_no_name_of_a_function_is_not_allowed(name: Any) -> None:
    with pytest.raises(ValueError, match='expected names such as'):
        image.allow_style_functions(name)


def test_a_style_of_many_levels_is_refused() -> None:
    style: Any = {'function': NOTE}
    for _ in range(100):
        style = {'bands': [style]}
    with pytest.raises(StyleError, match='levels of nesting'):
        style_functions.check_style(style)


def test_other_sources_are_restricted_by_the_plugin(tmp_path: Path) -> None:
    class Other(large_image.tilesource.TileSource):
        """Stands for a source of another package."""

        name = 'other'

    style_functions.restrict(Other)
    style_functions.restrict(Other)
    with pytest.raises(StyleError):
        Other(style={'function': NOTE})
    assert Other(style={'bands': [{'band': 1}]}).style == {'bands': [{'band': 1}]}
