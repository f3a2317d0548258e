"""Resuming: the session that a stopped command created, so that the same command goes on with it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from girder_zarr.client import StitchClient


#: Options besides the spec that decide where patches lie: with others it is another image.
ARRANGEMENT = (
    *('preset', 'well', 'pages', 'columns', 'rows', 'path', 'by', 'corner'),
    *('flip_x', 'flip_y', 'swap_xy', 'rotate'),
)


class Memory:
    """The session that a command created, stored in a file until its image is complete.

    The file lies in ``$XDG_STATE_HOME/girder-zarr`` (``~/.local/state`` where that is not set) and is named
    after everything that makes two commands the same: server, folder, source, pattern, name and spec.
    """

    def __init__(self, options: argparse.Namespace, name: str, spec: dict[str, Any]) -> None:
        self._about = {
            'server': options.api_url.rstrip('/'),
            'folder': options.folder_id,
            'source': str(options.source.resolve()),
            'pattern': options.pattern,
            'arrangement': {option: getattr(options, option) for option in ARRANGEMENT},
            'name': name,
            # more patches than before are still the same image
            'spec': {field: value for field, value in spec.items() if field != 'expected'},
        }
        home = os.environ.get('XDG_STATE_HOME') or Path.home() / '.local' / 'state'
        known = hashlib.sha256(json.dumps(self._about, sort_keys=True).encode()).hexdigest()
        self._path = Path(home, 'girder-zarr', f'stitch-{known[:32]}.json')

    def session(self, client: StitchClient) -> str | None:
        """Return the id of the session that the same command created, if it still exists."""
        from girder_zarr.errors import NotFoundError

        try:
            session_id = json.loads(self._path.read_text(encoding='utf-8'))['session']
            client.get(session_id)
        except (OSError, ValueError, KeyError, TypeError, NotFoundError):
            return None
        return str(session_id)

    def save(self, session_id: str) -> None:
        """Write the session's id to the file; on failure print how to resume it."""
        temporary = self._path.with_suffix(f'.{os.getpid()}.tmp')
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open('w', encoding='utf-8') as stream:
                json.dump({'session': session_id, **self._about}, stream, indent=1)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(self._path)
        except OSError as error:
            print(
                f'girder-zarr: {self._path} cannot be written ({error.strerror}); should this be '
                f'interrupted, go on with --session {session_id}.',
                file=sys.stderr,
            )

    def forget(self) -> None:
        """Remove the file: the image is complete."""
        with contextlib.suppress(OSError):
            self._path.unlink()
