"""Deploy Bentos to named endpoints on this machine. In: names, Bentos and shares. Out: what the endpoints are.

An endpoint is a folder of records (``records.py``) that its router follows. A program only writes what it wants, and
starts a router where none runs. A program that is killed at any moment therefore leaves either the old state or the new
one, which the router reaches without it, and the next call of any program goes on from there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path

import yaml
from msgspec import Struct
from msgspec.structs import replace

from e2i.errors import StepError, ToolUnavailable
from e2i.regular import file_mode, folder_mode, open_private
from e2i.resilience.lock import exclusive
from e2i.tools.bentoml import records
from e2i.tools.bentoml.records import Share, Status, Wanted
from e2i.tools.bentoml.resources import Resources

NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,58}[a-z0-9])?")
TAG = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}(:[a-z0-9][a-z0-9._-]{0,126})?", re.IGNORECASE)
MOST_REPLICAS = 64
ENDS_WITHIN = 50.0
"""Seconds after which the processes of an endpoint that is to end are killed: the requests under way, and a margin."""


class Endpoint(Struct, frozen=True):
    """A deployed Bento: its name, the address of its requests, and the number of its processes."""

    name: str
    url: str
    bento_tag: str
    replicas: int


class Endpoints:
    """The endpoints of a store. ``home`` is BentoML's home, ``environ`` what their processes inherit."""

    def __init__(self, root: Path, home: Path, environ: Mapping[str, str]) -> None:
        self.root = root
        self.home = home
        self.environ = environ

    def deploy(
        self, tag: str, name: str, replicas: int, resources: Resources, environment: str
    ) -> tuple[Wanted | None, Wanted]:
        """Want all requests of the endpoint to go to that Bento. Returns what was wanted before, and what is now."""
        tag = self.checked(tag, name, replicas)

        def change(before: Wanted | None) -> Wanted:
            history = tuple(known for known in (before.history if before else ()) if known != tag)
            return Wanted(
                name=name,
                replicas=replicas,
                resources=resources,
                environment=environment,
                home=str(self.home.resolve()),
                shares=(Share(tag, 100.0),),
                history=(*history, tag),
            )

        return self._change(name, change)

    def checked(self, tag: str, name: str, replicas: int) -> str:
        """Return the whole tag of the Bento. Raises StepError when an argument of a deployment is not valid."""
        if not isinstance(replicas, int) or isinstance(replicas, bool) or not 1 <= replicas <= MOST_REPLICAS:
            raise _bad(f"replicas: {replicas!r:.80} is not a number from 1 to {MOST_REPLICAS}", "such as replicas=1")
        self._folder(name)
        return self.bento(tag)

    def move(self, name: str, percent: float, to: str | None) -> tuple[Wanted | None, Wanted]:
        """Want that share of the requests to go to the newest, or the named, Bento. The others share the rest."""
        check_share(percent)
        if self.wanted(name) is None:
            raise self._unknown(name)

        def change(before: Wanted | None) -> Wanted:
            if before is None:  # ended meanwhile
                raise self._unknown(name)
            tag = self.newest(before) if to is None else self.bento(to)
            history = before.history if tag in before.history else (*before.history, tag)
            return replace(before, shares=_moved(before, tag, float(percent)), history=history)

        return self._change(name, change)

    def undo(self, before: Wanted | None, failed: Wanted) -> None:
        """Want again what was wanted before a change that failed, unless another change followed."""
        folder = self._folder(failed.name)
        with exclusive(folder / "lock"):
            now = records.wanted(folder)
            if now is None or now.generation != failed.generation:
                return
            if before is None:
                _remove(folder)
            else:
                records.write(folder, replace(before, generation=failed.generation + 1))

    def look(self, name: str) -> Status | None:
        """Return what the endpoint is. Starts its router if it does not run."""
        folder = self._folder(name)
        if records.wanted(folder) is not None:
            self._ensure_router(folder)
        return records.status(folder)

    def wanted(self, name: str) -> Wanted | None:
        """Return what the endpoint should be; None when it was undeployed."""
        return records.wanted(self._folder(name))

    def stop(self, name: str) -> None:
        """End the endpoint. All its processes are gone when this returns. Safe to repeat."""
        folder = self._folder(name)
        if not folder.is_dir():
            raise self._unknown(name)
        with exclusive(folder / "lock"):
            _remove(folder)

    def names(self) -> list[str]:
        """Return the names of the endpoints that exist, sorted."""
        return sorted(path.parent.name for path in self.root.glob(f"*/{records.WANTED}"))

    def bento(self, tag: str) -> str:
        """Return the whole tag of a Bento of the store. Raises StepError for none, or for an unknown one."""
        text = str(tag)
        if not TAG.fullmatch(text):
            raise _bad(f"{text[:80]!r} is not the tag of a Bento", "NAME:VERSION, as package_model returns it")
        name, _, version = text.partition(":")
        if not version or version == "latest":
            found = self._made(name)
            if found:
                return max(found, key=lambda each: found[each])
        elif (self.home / "bentos" / name / version / "bento.yaml").is_file():
            return text
        raise StepError(f"no Bento {text} in the store", code="unknown-bento", hint="package it first")

    def newest(self, wanted: Wanted) -> str:
        """Return the newest of the Bentos of the endpoint: those it has served, and others of the same names."""
        found: dict[str, datetime] = {}
        for name in dict.fromkeys(tag.partition(":")[0] for tag in wanted.history):
            found |= self._made(name)
        return max(found, key=lambda tag: found[tag], default=wanted.history[-1])

    def made(self) -> dict[str, tuple[str, ...]]:
        """Return the tags of the Bentos of each name, the newest last."""
        names = sorted(path.name for path in (self.home / "bentos").glob("*") if path.is_dir())
        found = {name: self._made(name) for name in names}
        return {name: tuple(sorted(tags, key=tags.__getitem__)) for name, tags in found.items()}

    def _made(self, name: str) -> dict[str, datetime]:
        """Return when each Bento of that name was made."""
        found = {}
        for path in (self.home / "bentos" / name).glob("*/bento.yaml"):
            made = yaml.safe_load(path.read_text("utf-8")).get("creation_time")
            if isinstance(made, str):
                made = datetime.fromisoformat(made)
            if isinstance(made, datetime):
                found[f"{name}:{path.parent.name}"] = made
        return found

    def _change(self, name: str, change: Callable[[Wanted | None], Wanted]) -> tuple[Wanted | None, Wanted]:
        folder = self._folder(name)
        for each in (self.root, folder):
            each.mkdir(mode=folder_mode(each.parent), parents=True, exist_ok=True)
        with exclusive(folder / "lock"):
            before = records.wanted(folder)
            after = change(before)
            last = max(before.generation if before else 0, _reported(folder))
            after = replace(after, generation=before.generation if before else last)
            if after != before:
                after = replace(after, generation=last + 1)
                records.write(folder, after)
        self._ensure_router(folder)
        return before, after

    def _folder(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise _bad(f"{name[:80]!r} is not a name of an endpoint", "lower-case letters, digits, - and _; at most 60")
        return self.root / name

    def _unknown(self, name: str) -> StepError:
        known = ", ".join(self.names()) or "none"
        return StepError(f"no endpoint {name}", code="unknown-endpoint", hint=f"deployed in this store: {known}")

    def _ensure_router(self, folder: Path) -> None:
        """Start a router, unless a process of the endpoint exists. Only one can hold the lock that it inherits."""
        lock = open_private(folder / records.ALIVE, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        else:
            _spawn_router(folder, lock, self.environ)
        finally:
            os.close(lock)


def check_share(percent: float) -> None:
    """Raise StepError for what is no percentage."""
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent <= 100:
        raise _bad(
            f"traffic_percentage: {percent!r:.80} is not a number from 0 to 100", "10 is a tenth of the requests"
        )


def _reported(folder: Path) -> int:
    """Return the last generation that the router saw, so that none is used twice."""
    status = records.last_status(folder)
    return status.generation if status is not None else 0


def _moved(before: Wanted, tag: str, percent: float) -> tuple[Share, ...]:
    """Return the shares with that of one Bento changed; the others keep their proportions."""
    others = [share for share in before.shares if share.tag != tag and share.percent > 0]
    if not others:
        previous = [known for known in before.history if known != tag]
        if percent == 100:
            return (Share(tag, 100.0),)
        if not previous:
            raise _bad(
                f"{tag} is the only Bento of the endpoint {before.name}: nothing else can answer the other requests",
                "package and deploy another one first, or name it with `to`",
            )
        others = [Share(previous[-1], 100.0)]
    total = sum(share.percent for share in others)
    rest = [Share(share.tag, share.percent / total * (100.0 - percent)) for share in others]
    return tuple(share for share in (*rest, Share(tag, percent)) if share.percent > 0)


def _spawn_router(folder: Path, lock: int, environ: Mapping[str, str]) -> None:
    """Start the router in a session of its own, with the lock. It outlives this process."""
    from e2i.tools.bentoml import __file__ as package

    log = folder / records.LOG
    records.shorten_logs(folder)
    router = str(Path(package).with_name("router.py"))
    handed = 3
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-s", router, str(folder.resolve()), str(handed)],
        dict(environ),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, file_mode(folder)),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            (os.POSIX_SPAWN_DUP2, lock, handed),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP),
    )


def _remove(folder: Path) -> None:
    """End the endpoint and forget it. The locked files stay: another process may be waiting for them."""
    (folder / records.WANTED).unlink(missing_ok=True)
    _end(folder / records.ALIVE)
    (folder / records.STATUS).unlink(missing_ok=True)
    records.tidy(folder)


def _end(alive: Path) -> None:
    """Wait until no process of the endpoint exists; after ``ENDS_WITHIN``, or without a router, kill what is left."""
    lock = open_private(alive, os.O_RDWR | os.O_CREAT)
    try:
        seen: set[int] = set()
        asked = time.monotonic()
        while not _is_free(lock):
            found = holders(alive) - {os.getpid()}
            seen |= found
            if time.monotonic() - asked > ENDS_WITHIN:
                _send(found, signal.SIGKILL)
                if time.monotonic() - asked > ENDS_WITHIN + 10:
                    raise ToolUnavailable(
                        "bentoml", f"processes {sorted(found)} of the endpoint do not end", hint="see their state"
                    )
            _reap(seen)
            time.sleep(0.02)
        _reap(seen)
    finally:
        os.close(lock)


def _is_free(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holders(alive: Path) -> set[int]:
    """Return the processes that have the file open: those of the endpoint, whatever ids they have."""
    found = set()
    try:
        known = alive.stat()
    except FileNotFoundError:
        return set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _holds(process, known):
            found.add(int(process.name))
    return found


def _holds(process: Path, known: os.stat_result) -> bool:
    try:
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                has = descriptor.stat()
                if (has.st_dev, has.st_ino) == (known.st_dev, known.st_ino):
                    return True
    except OSError:  # it has just ended, or belongs to another user
        return False
    return False


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _reap(pids: Iterable[int]) -> None:
    """Collect the exit codes of those that are this process's children."""
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _bad(message: str, hint: str | None) -> StepError:
    return StepError(message, code="bad-argument", hint=hint)
