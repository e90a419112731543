"""Share a limited amount among the processes of a store, first come, first served: runs at a time, bytes of memory.

In: a folder of the store, an amount, a limit. Out: a place that is granted or waits.

A place is an empty file whose name says everything: number, state, amount, process, run. So nothing is half written,
and giving a place back needs no disk space. The next process that looks removes the places of those that have exited.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from e2i.regular import file_mode
from e2i.resilience import removal
from e2i.resilience.lock import exclusive
from e2i.resilience.processes import process_alive, process_identity
from e2i.store import disk
from e2i.store.database import FILE, store_error

FOLDER = "queue"
LOCK = "queue.lock"
FRESH = 3.0
"""Seconds without a look after which a waiting place is passed over, because its process is stopped or busy. It keeps
its number.
"""
NAME = re.compile(r"(\d{12})\.(held|waits)\.(\d+)\.([^./]+)\.([A-Za-z0-9_-]*)")
RUN = re.compile(r"[A-Za-z0-9_-]{1,100}")


class Place(Struct, frozen=True):
    """A part of the amount, held or waited for by a run of a process."""

    number: int
    held: bool
    amount: int
    holder: str
    run: str = ""

    @property
    def name(self) -> str:
        state = "held" if self.held else "waits"
        return f"{self.number:012}.{state}.{self.amount}.{self.holder}.{self.run}"

    @property
    def who(self) -> str:
        """The run, or the process of a run that has no id yet, for people."""
        return f"run {self.run}" if self.run else f"process {self.holder.partition(':')[0]}"


class Waiting(Struct, frozen=True):
    """What a place waits for."""

    held: tuple[Place, ...]
    """The places that hold the amount now."""
    ahead: tuple[Place, ...]
    """The places that wait for their turn before this one."""


class Queue:
    """The places of one kind in a store. Raises StoreError and DiskTrouble when the folder cannot be written."""

    def __init__(self, root: Path, kind: str, *, now: Callable[[], float] = time.time) -> None:
        self._root = root
        self._kind = kind
        self._now = now
        self._folder = root / FOLDER / kind

    def enter(self, amount: int, run: str = "") -> Reservation:
        """Returns a new place at the end of the queue, which is not granted yet."""
        with self._locked():
            disk.folder(self._root, FOLDER, self._kind)
            number = 1 + max((place.number for place in self._live()), default=0)
            place = Place(number, False, amount, process_identity(), run if RUN.fullmatch(run) else "")
            self._path(place).touch(mode=file_mode(self._folder))
        return Reservation(self, place)

    def advance(self, place: Place, limit: int | None) -> Waiting | None:
        """Grants a waiting place if it is its turn and the amount fits; returns what it waits for if not.

        An amount beyond the limit is granted when nothing else is held. ``limit=None``: granted at once.
        """
        with self._locked():
            live = self._live()
            held = tuple(other for other in live if other.held)
            ahead = tuple(
                other for other in live if not other.held and other.number < place.number and self._is_fresh(other)
            )
            used = sum(other.amount for other in held)
            if limit is None or (not ahead and (not held or used + place.amount <= limit)):
                self._rename(place, granted(place))
                return None
            os.utime(self._path(place), (self._now(), self._now()))
        return Waiting(held, ahead)

    def rename(self, place: Place, run: str) -> Place:
        """Names the run of a place, for the messages of those who wait."""
        if not RUN.fullmatch(run):
            return place
        named = replace(place, run=run)
        with self._locked():
            self._rename(place, named)
        return named

    def leave(self, place: Place) -> None:
        """Gives a place back, granted or not."""
        removal.remove(self._root, FOLDER, self._kind, place.name)

    def places(self) -> list[Place]:
        """Returns the places of live processes in the order of the queue. Removes nothing."""
        names = map(NAME.fullmatch, removal.names(self._root, FOLDER, self._kind))
        found = (_place(match) for match in names if match is not None)
        return [place for place in found if process_alive(place.holder)]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            disk.folder(self._root, FOLDER)
            with exclusive(self._root / FOLDER / LOCK):
                yield
        except OSError as error:
            raise store_error(error, self._root / FILE) from error

    def _live(self) -> list[Place]:
        """Returns the same and removes the places of processes that have exited."""
        live = self.places()
        for name in {*removal.names(self._root, FOLDER, self._kind)} - {place.name for place in live}:
            removal.remove(self._root, FOLDER, self._kind, name)
        return live

    def _is_fresh(self, place: Place) -> bool:
        try:
            return abs(self._now() - self._path(place).stat().st_mtime) < FRESH
        except FileNotFoundError:  # it has just left
            return False

    def _rename(self, before: Place, after: Place) -> None:
        self._path(before).rename(self._path(after))

    def _path(self, place: Place) -> Path:
        return self._folder / place.name


class Reservation:
    """A place of this process, from ``Queue.enter`` until ``leave``."""

    def __init__(self, queue: Queue, place: Place) -> None:
        self._queue = queue
        self.place = place

    def advance(self, limit: int | None) -> Waiting | None:
        """Returns None once the place is granted, and what it waits for until then."""
        waiting = self._queue.advance(self.place, limit)
        if waiting is None:
            self.place = granted(self.place)
        return waiting

    def name(self, run: str) -> None:
        """Names the run of this place."""
        self.place = self._queue.rename(self.place, run)

    def leave(self) -> None:
        """Gives the place back."""
        self._queue.leave(self.place)


def _place(match: re.Match[str]) -> Place:
    return Place(int(match[1]), match[2] == "held", int(match[3]), match[4], match[5])


def granted(place: Place) -> Place:
    """Returns the place as it is once it is granted."""
    return replace(place, held=True)


def holds_upstream(queue: Queue) -> bool:
    """Returns whether a process that started this one holds a place: then this run is a part of that one, and would
    wait for its own end.
    """
    holders = {place.holder for place in queue.places() if place.held}
    return bool(holders) and any(process_identity(pid) in holders for pid in _ancestors())


def _ancestors() -> Iterator[int]:
    """Yields the processes above this one, without itself."""
    pid = os.getppid()
    while pid > 1:
        yield pid
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return
        pid = int(text.rpartition(")")[2].split()[1])
