"""The functions that a style may call on a tile's pixels.

large_image calls whatever function of whatever module a style names (``style['function']`` and
``style['bands'][n]['function']``). Styles come from URLs that any user may type, so that here only
functions on a list are called: large_image's own by default, and those that an administrator or a program
adds.
"""

from __future__ import annotations

import functools
import importlib
import re
from typing import TYPE_CHECKING, Any

from girder_zarr.errors import StyleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: large_image's own functions on arrays: they neither import, open nor write anything.
DEFAULT_FUNCTIONS = ('large_image.tilesource.stylefuncs.*',)
#: Styles are shallow (a list of bands, each with a list of functions); more levels are no style.
MAX_DEPTH = 32
_PATTERN = re.compile(r'[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\.([A-Za-z_]\w*|\*)', re.ASCII)
_MARK = '_girder_zarr_checks_style_functions'

_added: tuple[str, ...] = ()


def _no_more() -> tuple[str, ...]:
    return ()


_from_setting: Callable[[], tuple[str, ...]] = _no_more
#: What is raised; the plugin has a class that Girder answers with 400 on routes that catch no errors.
_error: type[StyleError] = StyleError


def parse_functions(value: object) -> tuple[str, ...]:
    """Return patterns of functions: ``module.function``, or ``module.*`` for those that a module defines.

    :raises ValueError: with what was expected and what was found.
    """
    names = [] if value is None else value
    if not isinstance(names, (list, tuple)):
        msg = f'expected a list of names such as "lab.styles.*", found {str(value)[:80]!r}'
        raise ValueError(msg)
    for name in names:
        if not isinstance(name, str) or not _PATTERN.fullmatch(name):
            msg = f'expected names such as "lab.styles.smooth" or "lab.styles.*", found {str(name)[:80]!r}'
            raise ValueError(msg)
    return tuple(names)


def allow(*names: str) -> None:
    """Let styles call more functions in this process.

    :param names: ``module.function``, or ``module.*`` for every function that the module defines.
    :raises ValueError: a name is not of these forms.

    >>> from girder_zarr import image
    >>> image.allow_style_functions('lab.styles.smooth')
    """
    global _added  # noqa: PLW0603 - one list for the process, as large_image has one registry of sources
    _added = (*_added, *parse_functions(names))


def bind(source: Callable[[], tuple[str, ...]]) -> None:
    """Take further patterns from a function (a setting) from now on; it is called for every style."""
    global _from_setting  # noqa: PLW0603 - one setting for the process
    _from_setting = source


def raise_as(error: type[StyleError]) -> None:
    """Raise errors of this class from now on, so that a framework can answer them."""
    global _error  # noqa: PLW0603 - one framework for the process
    _error = error


def is_allowed(name: object) -> bool:
    """Return whether a style may call a function, and the function is what its name says.

    ``module.*`` stands for the functions that the module itself defines, not for what it has imported.
    """
    if not isinstance(name, str):
        return False
    module, _, function = name.rpartition('.')
    patterns = {*DEFAULT_FUNCTIONS, *_added, *_from_setting()}
    if name in patterns:
        return True
    return f'{module}.*' in patterns and _is_defined(module, function)


def _is_defined(module: str, function: str) -> bool:
    try:
        found = getattr(importlib.import_module(module), function, None)
    except ImportError:
        return False
    return callable(found) and not isinstance(found, type) and getattr(found, '__module__', None) == module


def functions_of(style: object, depth: int = 0) -> Iterator[object]:
    """Yield the name of every function that a style mentions, at whatever depth.

    :raises StyleError: the style is nested deeper than any style is.
    """
    if depth > MAX_DEPTH:
        msg = f'style: expected at most {MAX_DEPTH} levels of nesting.'
        raise _error(msg)
    if isinstance(style, dict):
        for key, value in style.items():
            if key == 'function':
                yield from _names(value)
            else:
                yield from functions_of(value, depth + 1)
    elif isinstance(style, (list, tuple)):
        for value in style:
            yield from functions_of(value, depth + 1)


def _names(function: object) -> Iterable[object]:
    if isinstance(function, (list, tuple)):
        return [name for entry in function for name in _names(entry)]
    if isinstance(function, dict):
        return [function.get('name')]
    return [] if function is None else [function]


def check_style(style: object) -> None:
    """Check the form of a style, and the functions that it names.

    :param style: a style as large_image takes it, parsed, or None.
    :raises StyleError: its bands are no list of objects, or a function is not on the list.
    """
    bands = style.get('bands', []) if isinstance(style, dict) else []
    if not isinstance(bands, (list, tuple)) or not all(isinstance(band, dict) for band in bands):
        msg = f'style: expected a list of objects as bands, found {str(bands)[:80]!r}.'
        raise _error(msg)
    for name in functions_of(style):
        if not is_allowed(name):
            msg = (
                f'style: the function {str(name)[:100]!r} is not on the list of those that styles may call '
                f'({", ".join(DEFAULT_FUNCTIONS)} and what the setting zarr.style_functions adds).'
            )
            raise _error(msg)


def restrict(source_class: Any) -> None:
    """Let a class of tile sources refuse styles that name functions which are not on the list.

    Called for our own source, and by the plugin for large_image's base class, which all sources share.
    A style is checked when it is set, and each function again when it is to be called. A style that fails
    when it is applied, whatever large_image raises for it, is a StyleError too. May be called again.
    """
    if _MARK in vars(source_class):
        return
    set_style = source_class._setStyle
    apply_style = source_class._applyStyle
    apply_function = source_class._applyStyleFunction

    @functools.wraps(set_style)
    def _setStyle(self: Any, style: Any) -> None:  # noqa: N802 - large_image's name
        set_style(self, style)
        check_style(getattr(self, '_style', None))

    @functools.wraps(apply_function)
    def _applyStyleFunction(  # noqa: N802 - large_image's name
        self: Any, image: Any, sc: Any, stage: str, function: Any = None
    ) -> Any:
        if function is None:
            # The same choice as in the method that is wrapped: of the band at hand, or of the style.
            style = sc.style['bands'][sc.styleIndex] if hasattr(sc, 'styleIndex') else sc.style
            function = style.get('function')
        check_style({'function': function})
        return apply_function(self, image, sc, stage, function)

    @functools.wraps(apply_style)
    def _applyStyle(self: Any, image: Any, style: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N802
        try:
            return apply_style(self, image, style, *args, **kwargs)
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            if not style:
                raise
            msg = f'style: cannot be applied ({type(error).__name__}: {str(error)[:200]}).'
            raise _error(msg) from error

    source_class._applyStyle = _applyStyle
    source_class._setStyle = _setStyle
    source_class._applyStyleFunction = _applyStyleFunction
    setattr(source_class, _MARK, True)
