"""The file of a breaker's circuit: one line with a checksum and the circuit as JSON. In: a path. Out: the circuit."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from e2i.regular import file_mode, folder_mode
from e2i.resilience.breaker import Circuit
from e2i.resilience.processes import boot_id

FOLDER = "breakers"
BLOCK = 2_048
"""Size of the file in bytes. It is written in one call, so that a killed process leaves no partial content."""
SIZE = 16_384
"""Size in bytes above which the file is not ours."""
KEPT = 100
"""Maximum number of changes that are kept for the file while it cannot be used."""
ELAPSED = -1e12
"""Opening time of a circuit that an earlier boot left open: longer ago than any recovery time."""


class Record(Struct, frozen=True):
    """Content of the file: a circuit, and the boot that its times refer to."""

    boot: str
    circuit: Circuit


def file_of(store: Path, tool: str, identity: Mapping[str, str | list[str | int]]) -> Path:
    """Returns the file of a tool's breaker in a store; ``identity`` names the server, empty for an embedded tool.

    The same tool on another server has another breaker.
    """
    if not identity:
        return store / FOLDER / f"{tool}.json"
    text = json.dumps(dict(identity), sort_keys=True, separators=(",", ":"), default=str)
    return store / FOLDER / f"{tool}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def peek(file: Path) -> Circuit | None:
    """Returns the circuit in a file, without writing; None when there is none that can be read."""
    try:
        with opened(file, os.O_RDONLY) as handle:
            return decode(os.pread(handle, SIZE, 0))
    except OSError:
        return None


def encode(circuit: Circuit) -> bytes:
    body = msgspec.json.encode(Record(boot_id(), circuit))
    return (b"%08x %s" % (zlib.crc32(body), body)).ljust(BLOCK - 1) + b"\n"


def decode(text: bytes) -> Circuit | None:
    """Returns the content; None when the bytes were not written by a breaker."""
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
def opened(file: Path, flags: int) -> Iterator[int]:
    """Returns a descriptor of the file, created with its folder if needed. Raises OSError for a foreign file."""
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        handle = os.open(file, flags, file_mode(file.parent))
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
        file.parent.mkdir(mode=folder_mode(file.parent.parent), exist_ok=True)
        handle = os.open(file, flags, file_mode(file.parent))
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size >= SIZE:
            raise OSError(errno.EINVAL, "it is not a breaker's file")
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(handle: int) -> Iterator[None]:
    """Raises BlockingIOError when another process has the lock."""
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)  # a process that was forked meanwhile has the descriptor too
