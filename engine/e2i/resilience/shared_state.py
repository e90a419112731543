"""A breaker's circuit in a small file that all processes of a store share. Implements ``breaker.BreakerState``.

The file holds one line: a checksum and the circuit as JSON. Every change reads and writes it under a lock of the file
(``flock``), which a process that dies gives back by dying; a reader looks at it again when what it knows is 50 ms old.
Nothing is synced to disk: after a loss of power the circuit is forgotten, or belongs to an earlier start of the machine
and counts as recovered.

The breaker must never be the reason that a call fails or waits. While the file is locked by another process for long,
or cannot be read or written, the circuit is kept in this process's memory, with one warning. What is recorded in that
time is added to the file once it can be used again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import stat
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from e2i.resilience.breaker import Circuit, Contended, State, renew_lock_after_fork
from e2i.resilience.processes import boot_id, process_alive, process_identity

T = TypeVar("T")
Change = Callable[[Circuit], tuple[Circuit, Any]]

FOLDER = "breakers"
FRESH = 0.05
"""Seconds for which a process relies on what it has read."""
POLL_TIMEOUT = 0.03
"""Seconds that a caller waits for the lock of the file."""
TURN = 0.001
"""Seconds between two tries for the lock."""
GIVE_UP = 1.0
"""Seconds for which a file that cannot be used is done without before it is tried again."""
BUSY = 10.0
"""Seconds for which calls of an open circuit are rejected while others keep the file locked: longer than a busy machine
keeps a process from its turn, which must not let a fourth probe through.
"""
BLOCK = 2_048
"""Bytes of the file: written in one go, so that nobody who is killed leaves half of it."""
SIZE = 16_384
"""Bytes beyond which the file is none of ours."""
KEPT = 100
"""Changes that are kept for the file while it cannot be used."""
ELAPSED = -1e12
"""When a circuit was opened that an earlier start of the machine left open: longer ago than any recovery."""

log = logging.getLogger(__name__)


class Record(Struct, frozen=True):
    """What the file holds: a circuit, and the start of the machine that its times count from."""

    boot: str
    circuit: Circuit


def file_of(store: Path, tool: str, identity: Mapping[str, Any]) -> Path:
    """The file of a tool's breaker in a store; ``identity`` names the server, empty for an embedded tool.

    The same tool on another server has another breaker.
    """
    if not identity:
        return store / FOLDER / f"{tool}.json"
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), default=str)
    return store / FOLDER / f"{tool}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def peek(file: Path) -> Circuit | None:
    """Returns the circuit in a file, without writing anything; None when there is none that can be read."""
    try:
        with _opened(file, os.O_RDONLY) as handle:
            return _decode(os.pread(handle, SIZE, 0))
    except OSError:
        return None


class SharedState:
    """A circuit in ``file``. ``clock`` gives seconds, for this process alone."""

    def __init__(self, file: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._circuit = Circuit()
        self._text = b""
        """What the file held when this process last read or wrote it."""
        self._read_at = float("-inf")
        self._rejected = 0
        self._later: deque[Change] = deque(maxlen=KEPT)
        """Changes made to the circuit in memory alone; the file is without them."""
        self._contended = (float("-inf"), float("-inf"))
        """When the lock was first not to be had, and last; since then nobody here had it."""
        self._without_until = float("-inf")
        """Until when the file is not waited for."""
        self._warned = False
        self._holder = (0, "")
        renew_lock_after_fork(self)

    @property
    def holder(self) -> str:
        """This process, told apart from a later one with its pid."""
        if self._holder[0] != os.getpid():
            self._holder = (os.getpid(), process_identity())
        return self._holder[1]

    def read(self) -> Circuit:
        """Returns the circuit as it was at most 100 ms ago."""
        if self._clock() - self._read_at > FRESH:
            with self._lock:
                self._look()
        return self._circuit

    def update(self, change: Callable[[Circuit], tuple[Circuit, T]], *, later: bool = False) -> T:
        """Changes the circuit for all processes.

        Raises Contended when others keep the file locked and this process must not decide alone: it could let one probe
        too many through.
        """
        ends = self._clock() + POLL_TIMEOUT
        while True:
            with self._lock:
                try:
                    return self._change_file(change)
                except BlockingIOError as error:
                    now = self._clock()
                    if now >= ends or now < self._without_until:
                        return self._contend(change, later, now, error)
                except OSError as error:
                    return self._change_memory(change, later, error)
            time.sleep(TURN)

    def reject(self) -> None:
        """Counts a rejected call; the file learns of it with the next change."""
        with self._lock:
            self._rejected += 1

    def __reduce__(self) -> tuple[type[SharedState], tuple[Path]]:
        return SharedState, (self._file,)

    # With the lock of this process

    def _look(self) -> None:
        """Reads the file, unless the circuit in memory has changes that the file is without."""
        self._read_at = self._clock()
        if self._later:
            return
        try:
            with _opened(self._file, os.O_RDONLY) as handle:
                text = os.pread(handle, SIZE, 0)
        except OSError:
            return  # the next change deals with it
        if text == self._text and self._circuit.state is not State.HALF_OPEN:
            return
        if (circuit := _decode(text)) is not None:  # None: somebody is writing
            self._circuit, self._text = self._present(circuit), text

    def _change_file(self, change: Callable[[Circuit], tuple[Circuit, T]]) -> T:
        """Changes the file. Raises BlockingIOError when another process is about it, OSError when that cannot be."""
        with _opened(self._file, os.O_RDWR | os.O_CREAT) as handle, _locked(handle):
            text = os.pread(handle, SIZE, 0)
            circuit = self._restored(text)
            for missed in self._later:
                circuit, _ = missed(circuit)
            if self._rejected:
                circuit = replace(circuit, rejected=circuit.rejected + self._rejected)
            circuit, result = change(circuit)
            if (written := _encode(circuit)) != text:
                os.pwrite(handle, written, 0)
                if len(text) > len(written):
                    os.ftruncate(handle, len(written))
        self._circuit, self._text, self._read_at = circuit, written, self._clock()
        self._rejected = 0
        self._later.clear()
        self._contended = (float("-inf"), float("-inf"))
        self._without_until = float("-inf")
        return result

    def _restored(self, text: bytes) -> Circuit:
        """The circuit of the file; where that was corrupted or emptied, what this process knows of it."""
        circuit = _decode(text)
        if circuit is not None:
            return self._present(circuit)
        if text or self._text:
            self._warn("is corrupt" if text else "was removed", "it is written again from what this process knows")
        self._later.clear()
        return self._circuit

    def _present(self, circuit: Circuit) -> Circuit:
        """The circuit without the leases of processes that are gone: their time is over."""
        if circuit.state is not State.HALF_OPEN:
            return circuit
        gone = {lease.holder for lease in circuit.leases if lease.holder not in ("", self._holder[1])}
        gone = {holder for holder in gone if not process_alive(holder)}
        leases = tuple(replace(lease, until=ELAPSED) if lease.holder in gone else lease for lease in circuit.leases)
        return replace(circuit, leases=leases) if gone else circuit

    def _contend(
        self, change: Callable[[Circuit], tuple[Circuit, T]], later: bool, now: float, error: BlockingIOError
    ) -> T:
        """The lock could not be had in time."""
        first, last = self._contended
        self._contended = (first if now - last < BUSY else now, now)
        if not later and self._circuit.state is not State.CLOSED and now - self._contended[0] < BUSY:
            raise Contended from error
        return self._change_memory(change, later, error)

    def _change_memory(self, change: Callable[[Circuit], tuple[Circuit, T]], later: bool, error: OSError) -> T:
        """Changes what this process knows, and does without the file for a while."""
        why = "is locked" if isinstance(error, BlockingIOError) else f"cannot be used: {error.strerror or error}"
        self._warn(why, "until it can be used, this process counts for itself")
        now = self._clock()
        if now >= self._without_until:
            self._without_until = now + GIVE_UP
        if later:
            self._later.append(change)
        self._circuit, result = change(self._circuit)
        return result

    def _warn(self, what: str, then: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("the shared breaker state %s %s: %s", self._file, what, then)


def _encode(circuit: Circuit) -> bytes:
    body = msgspec.json.encode(Record(boot_id(), circuit))
    return (b"%08x %s" % (zlib.crc32(body), body)).ljust(BLOCK - 1) + b"\n"


def _decode(text: bytes) -> Circuit | None:
    """None when the bytes are not what somebody has written."""
    checksum, _, body = text.rstrip().partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    try:
        record = msgspec.json.decode(body, type=Record)
    except msgspec.MsgspecError:
        return None
    if record.boot == boot_id():
        return record.circuit
    return replace(record.circuit, opened_at=ELAPSED, leases=())


@contextlib.contextmanager
def _opened(file: Path, flags: int) -> Iterator[int]:
    """A descriptor of the file, which is made in its folder if need be. Raises OSError when it is no file of ours."""
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        handle = os.open(file, flags, 0o600)
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
        file.parent.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(file, flags, 0o600)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size >= SIZE:
            raise OSError(errno.EINVAL, "it is not a file that a breaker has written")
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def _locked(handle: int) -> Iterator[None]:
    """Raises BlockingIOError when another process has the lock."""
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)  # a process that was forked meanwhile has the descriptor too
