"""Consolidated metadata of the groups above an image that was written into a hierarchy on the disk.

zarr-python reads them in place of the documents of the nodes: `.zmetadata` of zarr v2, and
``consolidated_metadata`` in the zarr.json of a v3 group, both by paths relative to the group.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
import warnings
from typing import TYPE_CHECKING, Any

from girder_zarr.image.store.zarr_names import METADATA_KEYS, V2_KEYS

from .outlet import sync_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_V2, _V3 = METADATA_KEYS[-1], METADATA_KEYS[0]
#: What zarr-python has for groups inside consolidated metadata: their nodes stand beside them.
_INLINE = {'kind': 'inline', 'must_understand': False, 'metadata': {}}


def renew_above(folder: Path) -> None:
    """Put what a folder holds now into the consolidated metadata of the groups that it lies in.

    Where they are not understood they are removed, as a reader then looks at the nodes themselves. What
    cannot be written is a warning: the image is there.

    :param folder: of an image that was just written.
    """
    above = folder.parent
    while above != above.parent and any((above / key).is_file() for key in METADATA_KEYS):
        path = folder.relative_to(above).as_posix()
        try:
            _renew_v2(above / _V2, folder, path)
            _renew_v3(above / _V3, folder, path)
        except OSError as exc:
            warnings.warn(
                f'The consolidated metadata of {above} are not those of {path}: {exc}', stacklevel=2
            )
        above = above.parent


def _renew_v2(file: Path, folder: Path, path: str) -> None:
    content = _read(file)
    if content is None:
        return
    metadata = content.get('metadata')
    if not isinstance(metadata, dict):
        file.unlink()
        return
    found = _without(metadata, path)
    for node, key, document in _documents(folder, V2_KEYS):
        found[f'{path}/{node}{key}'] = document
    _replace(file, content | {'metadata': found})


def _renew_v3(file: Path, folder: Path, path: str) -> None:
    content = _read(file)
    inline = None if content is None else content.get('consolidated_metadata')
    if content is None or not isinstance(inline, dict):
        return
    if not isinstance(inline.get('metadata'), dict):
        _replace(file, {key: value for key, value in content.items() if key != 'consolidated_metadata'})
        return
    new = {}
    for node, _, document in _documents(folder, (_V3,)):
        group = isinstance(document, dict) and document.get('node_type') == 'group'
        new[f'{path}/{node}'.rstrip('/')] = (
            document | {'consolidated_metadata': _INLINE} if group else document
        )
    metadata = _without(inline['metadata'], path) | new
    _replace(file, content | {'consolidated_metadata': inline | {'metadata': metadata}})


def _without(metadata: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the entries that are not those of a path or below it."""
    return {key: value for key, value in metadata.items() if key != path and not key.startswith(f'{path}/')}


def _documents(folder: Path, names: tuple[str, ...]) -> Iterator[tuple[str, str, Any]]:
    """Iterate over the metadata below a folder: the path of the node with a slash, file name, content.

    Folders of arrays hold chunks, which are not looked at.
    """
    pending = ['']
    while pending:
        node = pending.pop()
        documents = {name: _read(folder / node / name) for name in names}
        for name, document in documents.items():
            if document is not None:
                yield node, name, document
        is_array = (
            documents.get('.zarray') is not None or (documents.get(_V3) or {}).get('node_type') == 'array'
        )
        if not is_array:
            with os.scandir(folder / node) as entries:
                inside = sorted(entry.name for entry in entries if entry.is_dir())
            pending += [f'{node}{name}/' for name in reversed(inside)]


def _read(file: Path) -> dict[str, Any] | None:
    """Return a JSON object, an empty one for what is none, or None where there is no such file."""
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _replace(file: Path, content: dict[str, Any]) -> None:
    temporary = file.with_name(f'.{file.name}.{uuid.uuid4().hex[:12]}.tmp')
    try:
        temporary.write_text(json.dumps(content, indent=2))
        shutil.copymode(file, temporary)
        sync_path(temporary)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
