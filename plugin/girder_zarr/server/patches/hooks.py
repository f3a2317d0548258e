"""Hooks for changes of patches: packages above subscribe, so that patches need not import them.

Subscribers are called in the process that made the change, after the database has it. An error in one is
logged and changes no answer: what subscribers cache can be computed again from the patches.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from bson import ObjectId

    from girder_zarr.server.common.names import Document

logger = logging.getLogger(__name__)

Hook = TypeVar('Hook', bound='Callable[..., None]')

#: Called as ``(session_id, document)`` with each patch that was created or replaced.
stored: list[Callable[[ObjectId, Document], None]] = []
#: Called as ``(source)`` with where the bytes of a patch were that was removed or replaced, see
#: `document.source_of`.
removed: list[Callable[[str], None]] = []
#: Called as ``(session)`` after all patches of a session were removed together.
emptied: list[Callable[[Document], None]] = []


def subscribe(hooks: list[Hook], hook: Hook) -> None:
    """Add a hook to one of the lists, once however often this is called."""
    if hook not in hooks:
        hooks.append(hook)


def notify(hooks: list[Hook], *arguments: Any) -> None:
    """Call every hook of a list."""
    for hook in list(hooks):
        try:
            hook(*arguments)
        except Exception:
            logger.warning('A subscriber to changes of patches failed', exc_info=True)
