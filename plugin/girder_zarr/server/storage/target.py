"""Which assetstore takes what is stored in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from girder import events
from girder.models.assetstore import Assetstore

from girder_zarr.server.common.costly import CostlyAnswers

if TYPE_CHECKING:
    from girder_zarr.server.common.names import Document

#: Seconds for which the assetstore of a folder is known: as old as the settings that a server follows.
MAX_AGE = 1.0

_known = CostlyAnswers(share=0.0, least=MAX_AGE)


def assetstore_of(folder: Document) -> Document:
    """Return the assetstore of files in a folder, as it was `MAX_AGE` seconds ago at most.

    :raises GirderException: there is none.
    """
    # As `Upload.getTargetAssetstore` does: a plugin, such as that for quotas, may choose for each folder.
    chosen: Document = _known.fetch(folder['_id'], lambda: _chosen_for(folder))
    current: Document = chosen or _known.fetch(None, _current)
    return current


def _chosen_for(folder: Document) -> Document | None:
    responses: list[Document] = events.trigger(
        'model.upload.assetstore', {'model': 'folder', 'resource': folder}
    ).responses
    return responses[-1] if responses else None


def _current() -> Document:
    found: Document = Assetstore().getCurrent()
    return found


def forget(*_: object) -> None:
    """Ask anew, since this process has changed an assetstore or which one is chosen."""
    _known.forget()
