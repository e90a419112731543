"""Watch what an endpoint answers: count it, copy requests, measure drift, and take a change back that breaks its guard.

In: exchanges, and what the endpoint should be. Out: ``observed.json``, ``/metrics``, and a changed ``endpoint.json``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import msgspec
from msgspec.structs import replace

from e2i.errors import StepError
from e2i.regular import open_private
from e2i.tools.bentoml import changes, drifting, guarding, observing, records
from e2i.tools.bentoml.copying import Copies, Exchange
from e2i.tools.bentoml.observing import OBSERVED, Snapshot
from e2i.tools.bentoml.proxy import Proxy, Split
from e2i.tools.bentoml.records import Share, Wanted
from e2i.tools.bentoml.replicas import Group

EVERY = 0.5
"""Seconds between two writes of what was observed."""
MEASURED = 1 << 20
"""Bytes of a request whose rows count for the drift."""


class Watch:
    """The observer of one router."""

    def __init__(self, folder: Path, proxy: Proxy, http: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.proxy = proxy
        self.copies = Copies(http, proxy.observed, folder)
        self.state = ""
        """``watching`` or ``passed``; empty without a guard."""
        self.figures = ""
        self._wanted: Wanted | None = None
        self._groups: Mapping[str, Group] = {}
        self._turn = Split(())
        self._drift: drifting.Drift | None = None
        self._reference: str | None = None
        self._until = 0.0
        self._written = 0.0
        proxy.hand_on = self.take
        proxy.metrics = self.text

    def begin(self, wanted: Wanted, groups: Mapping[str, Group]) -> None:
        """Watch the shares that answer from now on."""
        self._wanted, self._groups = wanted, groups
        self.proxy.observed.begin()
        self.state, self.figures = ("watching" if wanted.guard else ""), ""
        self._until = time.monotonic() + wanted.guard.seconds if wanted.guard else 0.0
        if wanted.shadow is not None:
            shadow = groups[wanted.shadow.tag]
            self._turn = Split([(shadow, wanted.shadow.percent), (shadow, 100.0 - wanted.shadow.percent)])
        if wanted.reference != self._reference:
            self._reference = wanted.reference
            found = drifting.read(self.folder / wanted.reference) if wanted.reference else None
            self._drift = drifting.Drift(found) if found is not None else None
        self.proxy.observed.changed = True

    def copied(self) -> list[Group]:
        """Return the groups that receive copies."""
        shadow = self._wanted.shadow if self._wanted is not None else None
        return [self._groups[shadow.tag]] if shadow is not None else []

    def take(self, exchange: Exchange) -> None:
        """Copy a request to whom its answer is compared with, and count its rows."""
        wanted = self._wanted
        if wanted is None:
            return
        if wanted.shadow is not None and self._is_copied(wanted.shadow):
            self.copies.send(exchange, self._groups[wanted.shadow.tag])
        guard = wanted.guard
        if (
            guard is not None
            and guard.difference is not None
            and self.state == "watching"
            and exchange.tag == guard.tag
        ):
            other = max((share for share in wanted.shares if share.tag != guard.tag), key=_percent, default=None)
            if other is not None and other.tag in self._groups:
                self.copies.send(exchange, self._groups[other.tag])
        if self._drift is not None and len(exchange.body) <= MEASURED:
            with contextlib.suppress(msgspec.DecodeError, AttributeError, TypeError):
                self._drift.add(msgspec.json.decode(exchange.body).get("input") or ())

    def _is_copied(self, shadow: Share) -> bool:
        """Return whether the next request is copied: exactly in proportion over any stretch of requests."""
        if shadow.percent >= 100:
            return True
        return self._turn.next_index() == 0

    def keep(self) -> None:
        """Judge the guard, and write what was observed."""
        self._judge()
        if self.proxy.observed.changed and time.monotonic() - self._written >= EVERY:
            self.write()

    def write(self) -> None:
        """Replace ``observed.json``."""
        self.proxy.observed.changed = False
        self._written = time.monotonic()
        new = self.folder / f".{OBSERVED}.{os.getpid()}"
        with contextlib.suppress(OSError):  # the folder was removed: the router is about to end
            with os.fdopen(records.create(new), "wb") as file:
                file.write(msgspec.json.encode(self.snapshot()))
            new.replace(self.folder / OBSERVED)

    def snapshot(self) -> Snapshot:
        """Return what was observed until now."""
        wanted = self._wanted
        shares = {share.tag: share.percent for share in wanted.shares} if wanted else {}
        return Snapshot(
            at_ms=time.time_ns() // 1_000_000,
            generation=wanted.generation if wanted else 0,
            rollbacks=self.proxy.observed.rollbacks,
            bentos=self.proxy.observed.figures(shares),
            drift=self._drift.psi() if self._drift is not None else {},
            drift_rows=self._drift.rows if self._drift is not None else 0,
        )

    def text(self) -> str:
        """Return what was observed in Prometheus' text format."""
        return observing.text(self.proxy.observed, self.snapshot())

    async def stop(self) -> None:
        """Give up the copies, and write what was observed last."""
        await self.copies.stop()
        if (self.folder / records.WANTED).exists():
            self.write()

    def _judge(self) -> None:
        wanted = self._wanted
        if wanted is None or wanted.guard is None or self.state != "watching":
            return
        verdict = guarding.judge(wanted.guard, self.proxy.observed.watch)
        self.figures = verdict.figures
        if verdict.broken:
            self._take_back(wanted, verdict.broken)
        elif time.monotonic() >= self._until:
            self.state = "passed"

    def _take_back(self, watched: Wanted, why: str) -> None:
        """Want again what was wanted before the change, unless another one followed. Tries again when it is locked."""
        lock = open_private(self.folder / "lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            now = records.wanted(self.folder)
            if now is None or now.generation != watched.generation or now.guard is None:
                return
            after = changes.returned(now)
            change = changes.change_of("guard", now.guard.tag, 0.0, "", time.time_ns() // 1_000_000, why)
            after = replace(changes.noted(now, after, change), generation=now.generation + 1)
            records.write(self.folder, after)
            self.proxy.observed.rollbacks += 1
        except (BlockingIOError, StepError):
            return
        finally:
            os.close(lock)


def _percent(share: Share) -> float:
    return share.percent
