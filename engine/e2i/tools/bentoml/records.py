"""What is recorded of an endpoint: what it should be, and what it is. In: an endpoint's folder. Out: structs.

A program writes ``endpoint.json``; the endpoint's router follows it, and writes ``status.json``. Both are replaced
atomically. ``alive`` is locked by the router and its replicas for as long as any of them exists: the lock, not a
process id, tells whether an endpoint runs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from e2i.regular import file_mode
from e2i.tools.bentoml.resources import Resources

WANTED = "endpoint.json"
STATUS = "status.json"
ALIVE = "alive"
LOG = "log"
KEPT_LOG = 4 << 20
"""Maximum size in bytes of the log of a router or of a replica: of a larger one, the last half of that is kept."""
Kind = Literal["deploy", "move", "shadow", "rollback", "guard"]
T = TypeVar("T")


class Share(Struct, frozen=True):
    """A Bento, and the percentage of the requests that it answers."""

    tag: str
    percent: float


class Guard(Struct, frozen=True, kw_only=True):
    """When the router takes the requests of a Bento back by itself. None: that figure is not judged."""

    tag: str
    requests: int
    """Requests that must have been answered before anything is judged."""
    seconds: float
    """How long the router watches."""
    errors: float | None = None
    """Largest share of requests that the Bento fails to answer."""
    latency: float | None = None
    """Largest 95th percentile of its seconds for an answer."""
    slowdown: float | None = None
    """Largest ratio of that percentile to the one of the other Bentos."""
    difference: float | None = None
    """Largest mean difference between its predictions and the others', for the same requests."""


class State(Struct, frozen=True, kw_only=True):
    """Who answers requests, and how: what a rollback returns to."""

    replicas: int
    resources: Resources
    environment: str
    shares: tuple[Share, ...]
    shadow: Share | None = None
    sticky: str | None = None


class Change(Struct, frozen=True, kw_only=True):
    """One change of an endpoint."""

    kind: Kind
    tag: str
    percent: float
    key: str = ""
    """Idempotency key of the step that wanted it; empty for a program's change, and for one of the router's guard."""
    at_ms: int = 0
    why: str = ""


class Wanted(Struct, frozen=True, kw_only=True):
    """What an endpoint should be."""

    schema_version: int = 1
    name: str
    generation: int = 0
    """Incremented with every change."""
    replicas: int
    """Number of processes for each Bento."""
    resources: Resources
    environment: str
    home: str
    """BentoML's home, which has the Bentos."""
    shares: tuple[Share, ...]
    """Who answers requests. A Bento with 0 % stands by: its replicas run."""
    shadow: Share | None = None
    """The Bento that receives copies of that percentage of the requests. Its answers are compared, never returned."""
    sticky: str | None = None
    """The feature by which requests are kept together when they have no header ``E2I-Key``."""
    guard: Guard | None = None
    reference: str | None = None
    """The file with the reference for the drift of the features."""
    history: tuple[str, ...] = ()
    """The Bentos that were ever deployed to the endpoint, the last one at the end."""
    past: tuple[State, ...] = ()
    """What rollbacks return to, the last state at the end."""
    changes: tuple[Change, ...] = ()
    """The last changes, the newest at the end."""


class Status(Struct, frozen=True, kw_only=True):
    """What an endpoint is."""

    schema_version: int = 1
    generation: int
    """The last change that the router has seen."""
    state: str
    """``starting``, ``ready`` (all replicas of that change answer) or ``failed`` (one ended before it was ready)."""
    detail: str = ""
    url: str
    pid: int
    started: int
    """When the router's process was started, in the kernel's ticks: with ``pid`` it identifies the process."""
    shares: tuple[Share, ...] = ()
    """What answers requests now."""
    guard: str = ""
    """``watching`` or ``passed``; empty without a guard."""
    watched: str = ""
    """The figures that the guard has judged last."""


def wanted(folder: Path) -> Wanted | None:
    """Return what the endpoint should be; None when it should not exist."""
    return _read(folder / WANTED, Wanted)


def status(folder: Path) -> Status | None:
    """Return what the router reports; None when it reported nothing yet, or does not exist."""
    found = last_status(folder)
    return found if found is not None and started(found.pid) == found.started else None


def last_status(folder: Path) -> Status | None:
    """Return what the router, or an earlier one, last reported."""
    return _read(folder / STATUS, Status)


def started(pid: int) -> int | None:
    """Return when a process was started, in ticks since boot; None when it does not exist, or has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        return None if fields[0] == "Z" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def write(folder: Path, record: Wanted | Status) -> None:
    """Replace the record, durably for what a program wants."""
    name = WANTED if isinstance(record, Wanted) else STATUS
    new = folder / f".{name}.{os.getpid()}"
    with os.fdopen(create(new), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(record), indent=1))
        if isinstance(record, Wanted):
            file.flush()
            os.fsync(file.fileno())
    new.replace(folder / name)


def create(path: Path) -> int:
    """Empty the file and return a descriptor that appends. It is private to the user, or to a shared store's group."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(PermissionError):  # it exists, and belongs to another user of the group
        os.fchmod(handle, file_mode(path.parent))
    return handle


def shorten_logs(folder: Path) -> None:
    """Cut what is too long of the logs of the router and its replicas, which go on appending to them."""
    for log in (folder / LOG, folder / "compared.jsonl", *folder.glob("replica-*.log")):
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size > KEPT_LOG:
                with log.open("r+b") as file:
                    file.seek(-KEPT_LOG // 2, os.SEEK_END)
                    last = file.read(KEPT_LOG // 2)
                    file.truncate(0)
                with log.open("ab") as file:
                    file.write(last)


def tidy(folder: Path) -> None:
    """Remove what killed replicas left in the endpoint's folder. No replica may exist."""
    for path in folder.glob("replica-*.log"):
        path.unlink(missing_ok=True)
    for path in folder.glob("metrics-*"):
        shutil.rmtree(path, ignore_errors=True)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, NotADirectoryError):
        return None
