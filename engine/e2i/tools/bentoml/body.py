"""Read the body of a request within limits of size, time and memory. In: a stream. Out: its bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from e2i.tools.bentoml.admission import LARGEST, Refusal

KEPT = 8 << 20
"""Bytes of a body that are kept, so that it can be sent to another replica."""
WITHIN = 60.0
"""Seconds in which a body must have arrived."""


class Room:
    """Memory for what requests hold at the same time, in bytes."""

    def __init__(self, most: int) -> None:
        self.left = most

    def take(self, size: int) -> bool:
        """Return whether there was room for ``size`` more bytes; they are then held until ``give``."""
        if size > self.left:
            return False
        self.left -= size
        return True

    def give(self, size: int) -> None:
        """Free that many bytes."""
        self.left += size


class Refused(Exception):
    """A body that is not read further."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class Body:
    """A request's body: ``whole`` once all of it is in ``start``. ``refused`` is set when it went beyond a limit."""

    def __init__(self, content: aiohttp.StreamReader, room: Room) -> None:
        self.start = b""
        self.whole = False
        self.refused: Refused | None = None
        self._content = content
        self._room = room
        self._held = 0
        self._size = 0
        self._until = asyncio.get_running_loop().time() + WITHIN

    async def begin(self) -> None:
        """Read up to ``KEPT`` bytes, and keep them. Raises Refused."""
        kept = bytearray()
        while len(kept) <= KEPT:
            piece = await self._next()
            if not piece:
                self.whole = True
                break
            if not self._room.take(len(piece)):
                raise self._refuse(503, "too many requests are held; send it again")
            self._held += len(piece)
            kept += piece
        self.start = bytes(kept)

    def content(self) -> bytes | AsyncIterator[bytes] | None:
        """Return what is sent to a replica; the bytes of a body that is not whole can be sent once."""
        return (self.start or None) if self.whole else self._all()

    def release(self) -> None:
        """Free the memory of what was kept."""
        self._room.give(self._held)
        self._held = 0

    async def _all(self) -> AsyncIterator[bytes]:
        yield self.start
        while piece := await self._next():
            yield piece

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout_at(self._until):
                piece = await self._content.readany()
        except TimeoutError:
            raise self._refuse(408, f"the body did not arrive within {WITHIN:g} s") from None
        except (web.RequestPayloadError, ConnectionError):
            raise self._refuse(400, "the body is not complete") from None
        self._size += len(piece)
        if self._size > LARGEST:
            raise self._refuse(413, f"a body has at most {LARGEST >> 20} MiB")
        return piece

    def _refuse(self, status: int, reason: str) -> Refused:
        self.refused = Refused(Refusal(status, reason))
        return self.refused
