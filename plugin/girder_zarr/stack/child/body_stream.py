"""The body of a request as a file for a thread, while the event loop goes on receiving it."""

from __future__ import annotations

import asyncio
import io
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import Receive

#: Bytes that wait for the reader before no more are taken from the client.
WAITING_BYTES = 2**18


class BodyStream(io.RawIOBase):
    """Read by one thread, fed in an event loop.

    :param loop: that of :meth:`feed`. :param early: what has arrived.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, early: bytes) -> None:
        super().__init__()
        self._loop = loop
        self._pieces = deque([memoryview(early)] if early else [])
        self._waiting, self._has_ended = len(early), False
        self._changed = threading.Condition()
        self._room = asyncio.Event()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, target: Any) -> int:
        """Fill a buffer with what comes next, once there is something; return the size, 0 at the end."""
        with self._changed:
            while not self._pieces and not self._has_ended:
                self._changed.wait()
            if not self._pieces:
                return 0
            piece = self._pieces.popleft()
        size = min(len(piece), len(target))
        target[:size] = piece[:size]
        with self._changed:
            if size < len(piece):
                self._pieces.appendleft(piece[size:])
            was_full, self._waiting = self._waiting >= WAITING_BYTES, self._waiting - size
            has_room = was_full and self._waiting < WAITING_BYTES
        if has_room:
            self._loop.call_soon_threadsafe(self._room.set)
        return size

    async def feed(self, receive: Receive) -> None:
        """Take the rest of the body from the server until it ends, the client goes, or this is cancelled."""
        try:
            is_complete = False
            while not is_complete:
                message = await receive()
                is_complete = message['type'] != 'http.request' or not message.get('more_body', False)
                await self._put(message.get('body', b''))
        finally:
            with self._changed:
                self._has_ended = True
                self._changed.notify()

    async def _put(self, piece: bytes) -> None:
        with self._changed:
            if piece:
                self._pieces.append(memoryview(piece))
                self._waiting += len(piece)
                self._changed.notify()
            is_full = self._waiting >= WAITING_BYTES
            if is_full:
                self._room.clear()
        if is_full:
            await self._room.wait()
