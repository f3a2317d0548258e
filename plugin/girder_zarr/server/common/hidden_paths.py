"""Paths of the server in sentences: only administrators read them."""

from __future__ import annotations

import re
import tempfile
from typing import Any

#: A path of at least two names. Not a part of an address or a type (``a/b``), and not one of our routes, of
#: which messages show no more than the last names.
_PATH = re.compile(r"""(?<![\w:/.<~-])/(?:[^/\s'"<>:,;(){}|]+/)+([^/\s'"<>:,;(){}|]*)""")


def without_paths(sentence: str) -> str:
    """Return a sentence with the last name of each path of the server in place of the path.

    >>> without_paths('/data/store/4f/image.zarr holds no array.')
    'image.zarr holds no array.'
    >>> without_paths('image/png and https://example.org/a/b.zarr stay.')
    'image/png and https://example.org/a/b.zarr stay.'
    """
    # A temporary folder may have blanks in its name, which elsewhere end a path.
    sentence = sentence.replace(tempfile.gettempdir().rstrip('/') + '/', '/-/')
    return _PATH.sub(lambda found: found[1] or '...', sentence)


def shown_to(user: dict[str, Any] | None, sentence: str) -> str:
    """Return a sentence as a user may read it."""
    return sentence if user is not None and user.get('admin') else without_paths(sentence)
