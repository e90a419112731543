"""Store a breaker's circuit in a small file for all processes of a store. Implements ``breaker.BreakerState``.

The file has one line: a checksum and the circuit as JSON. Every change reads and writes it under a lock of the file
(``flock``), which is released when its process exits. A reader reads it again when its copy is 50 ms old. Nothing is
synced to disk: after a power failure the circuit is lost, or belongs to an earlier boot and counts as recovered.

A call that is rejected takes no lock: a thread that is suspended while it holds one would hold up all others.

The breaker must never cause a call to fail or wait. While the file is locked by another process for long, or cannot be
read or written, the circuit is kept in this process's memory, with one warning. Changes of that time are added to the
file once it can be used again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from e2i.resilience.breaker import Circuit, Contended, State, renew_lock_after_fork
from e2i.resilience.processes import process_alive, process_identity
from e2i.resilience.state_file import ELAPSED, SIZE, decode, encode, locked, opened, peek
from e2i.resilience.tally import Tally

T = TypeVar("T")
Change = Callable[[Circuit], tuple[Circuit, Any]]

FRESH = 0.05
"""Seconds for which a process uses what it has read."""
POLL_TIMEOUT = 0.03
"""Seconds that a caller waits for the lock of the file."""
TURN = 0.001
"""Seconds between two tries for the lock."""
READS = 3
"""Number of times that a locked file is read before it counts as unreadable."""
GIVE_UP = 1.0
"""Seconds until an unusable file is tried again."""
BUSY = 10.0
"""Seconds for which calls of an open circuit are rejected while other processes keep the file locked.

Longer than a busy machine delays a process, because a fourth probe must not pass.
"""
COUNTING = 1.0
"""Seconds between two times that rejected calls are added to the file when nothing else changes it."""
KEPT = 100
"""Maximum number of changes that are kept for the file while it cannot be used."""

log = logging.getLogger(__name__)


class SharedState:
    """A circuit in ``file``. ``clock`` returns seconds, for this process alone."""

    def __init__(self, file: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._circuit = Circuit()
        self._text = b""
        """Content of the file when this process last read or wrote it."""
        self._read_at = float("-inf")
        self._rejected = Tally()
        """The rejected calls that the file does not have."""
        self._counted_at = float("-inf")
        self._later: deque[Change] = deque(maxlen=KEPT)
        """Changes made to the circuit in memory only."""
        self._contended = (float("-inf"), float("-inf"))
        """First and last time that the lock was unavailable; this process has not held it since."""
        self._without_until = float("-inf")
        """Time until which the file is not waited for."""
        self._warned = False
        self._holder = (0, "")
        renew_lock_after_fork(self)

    @property
    def holder(self) -> str:
        """Identity of this process, distinct from a later one with its pid."""
        if self._holder[0] != os.getpid():
            self._holder = (os.getpid(), process_identity())
        return self._holder[1]

    def read(self) -> Circuit:
        """Returns the circuit as it was at most 100 ms ago, or, while another thread reads it, before that."""
        if self._clock() - self._read_at > FRESH and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self._circuit

    def update(self, change: Callable[[Circuit], tuple[Circuit, T]], *, later: bool = False) -> T:
        """Changes the circuit for all processes.

        Raises Contended when other processes keep the file locked and this process must not decide alone: it could let
        one probe too many through.
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
        """Counts a rejected call. The file is updated with the next change, or once a second."""
        self._rejected.add()
        if (now := self._clock()) - self._counted_at >= COUNTING and self._lock.acquire(blocking=False):
            try:
                self._counted_at = now
                with contextlib.suppress(OSError):  # another process is changing the file, or it cannot be used
                    self._change_file(lambda circuit: (circuit, None))
            finally:
                self._lock.release()

    def __reduce__(self) -> tuple[type[SharedState], tuple[Path]]:
        return SharedState, (self._file,)

    # With the lock of this process

    def _look(self) -> None:
        """Reads the file, unless the circuit in memory has changes that the file does not have."""
        self._read_at = self._clock()
        if self._later:
            return
        try:
            with opened(self._file, os.O_RDONLY) as handle:
                text = os.pread(handle, SIZE, 0)
        except OSError:
            return  # the next change handles it
        if text == self._text and self._circuit.state is not State.HALF_OPEN:
            return
        if (circuit := decode(text)) is not None:  # None: another process is writing
            self._circuit, self._text = self._present(circuit), text

    def _change_file(self, change: Callable[[Circuit], tuple[Circuit, T]]) -> T:
        """Changes the file. Raises BlockingIOError when another process is changing it, OSError on failure."""
        with opened(self._file, os.O_RDWR | os.O_CREAT) as handle, locked(handle):
            text = os.pread(handle, SIZE, 0)
            circuit = self._restored(text)
            for missed in self._later:
                circuit, _ = missed(circuit)
            if rejected := self._rejected.waiting():
                circuit = replace(circuit, rejected=circuit.rejected + rejected)
            circuit, result = change(circuit)
            if (written := encode(circuit)) != text:
                os.pwrite(handle, written, 0)
                if len(text) > len(written):
                    os.ftruncate(handle, len(written))
        self._circuit, self._text, self._read_at = circuit, written, self._clock()
        self._rejected.take(rejected)
        self._later.clear()
        self._contended = (float("-inf"), float("-inf"))
        self._without_until = float("-inf")
        return result

    def _restored(self, text: bytes) -> Circuit:
        """Returns the circuit of the file; if the file is corrupt or empty, the circuit in memory."""
        circuit = decode(text)
        if circuit is not None:
            return self._present(circuit)
        if text or self._text:
            self._warn("is corrupt" if text else "was removed", "it is written again from this process's memory")
        self._later.clear()
        return self._circuit

    def _present(self, circuit: Circuit) -> Circuit:
        """Returns the circuit without the leases of processes that have exited."""
        if circuit.state is not State.HALF_OPEN:
            return circuit
        gone = {lease.holder for lease in circuit.leases if lease.holder not in ("", self._holder[1])}
        gone = {holder for holder in gone if not process_alive(holder)}
        leases = tuple(replace(lease, until=ELAPSED) if lease.holder in gone else lease for lease in circuit.leases)
        return replace(circuit, leases=leases) if gone else circuit

    def _contend(
        self, change: Callable[[Circuit], tuple[Circuit, T]], later: bool, now: float, error: BlockingIOError
    ) -> T:
        """The lock could not be acquired in time."""
        first, last = self._contended
        self._contended = (first if now - last < BUSY else now, now)
        if not later and not self._closed_for_all() and now - self._contended[0] < BUSY:
            raise Contended from error
        return self._change_memory(change, later, error)

    def _closed_for_all(self) -> bool:
        """Returns whether the circuit is closed here and in the file now, which is read without its lock.

        The copy of this process may be older than the call: another process may have opened the circuit since.
        """
        for _ in range(READS):
            circuit = peek(self._file)
            if circuit is not None or not self._text:
                break
            time.sleep(TURN)  # another process is writing
        return self._circuit.state is State.CLOSED and (circuit is None or circuit.state is State.CLOSED)

    def _change_memory(self, change: Callable[[Circuit], tuple[Circuit, T]], later: bool, error: OSError) -> T:
        """Changes the circuit in memory, and does not use the file for a while."""
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
