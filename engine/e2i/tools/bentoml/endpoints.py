"""Deploy Bentos to named endpoints on this machine. In: names, Bentos and shares. Out: what the endpoints are.

An endpoint is a folder of records (``records.py``) that its router follows. A program only writes what it wants, and
starts a router where none runs. A program that is killed at any moment therefore leaves either the old state or the new
one, which the router reaches without it, and the next call of any program goes on from there.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import yaml
from msgspec import Struct
from msgspec.structs import replace

from e2i.errors import StepError
from e2i.regular import folder_mode
from e2i.resilience.lock import exclusive
from e2i.tools.bentoml import changes, processes, records
from e2i.tools.bentoml.observing import Snapshot, observed
from e2i.tools.bentoml.records import Guard, Kind, Status, Wanted
from e2i.tools.bentoml.resources import Resources

NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,58}[a-z0-9])?")
TAG = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}(:[a-z0-9][a-z0-9._-]{0,126})?", re.IGNORECASE)
MOST_REPLICAS = 64


class Endpoint(Struct, frozen=True):
    """A deployed Bento: its name, the address of its requests, and the number of its processes."""

    name: str
    url: str
    bento_tag: str
    replicas: int


class Endpoints:
    """The endpoints of a store. ``home`` is BentoML's home, ``environ`` what their processes inherit, and ``lasting``
    the way to start a router that a worker's guardian does not end.
    """

    def __init__(
        self, root: Path, home: Path, environ: Mapping[str, str], lasting: processes.Lasting | None = None
    ) -> None:
        self.root = root
        self.home = home
        self.environ = environ
        self.lasting = lasting

    def deploy(
        self,
        tag: str,
        name: str,
        replicas: int,
        resources: Resources,
        environment: str,
        *,
        percent: float = 100.0,
        shadow: bool = False,
        sticky: str | None = None,
        reference: bytes | None = None,
        key: str = "",
    ) -> tuple[Wanted | None, Wanted]:
        """Want that share of the endpoint's requests to go to the Bento, or copies of them with ``shadow``.

        A new endpoint has no other Bento. ``reference`` is that of the features' drift (``drifting.py``). Returns what
        was wanted before, and what is now.
        """
        tag = self.checked(tag, name, replicas)
        check_share(percent)
        home = str(self.home.resolve())

        def change(before: Wanted | None) -> Wanted:
            file = self._keep_reference(name, reference) if reference is not None else None
            after = changes.deployed(
                *(before, tag, name, replicas, resources, environment, home),
                percent=percent,
                shadow=shadow,
                sticky=sticky,
                reference=file,
            )
            return self._noted(before, after, "shadow" if shadow else "deploy", tag, percent, key)

        return self._change(name, change)

    def checked(self, tag: str, name: str, replicas: int) -> str:
        """Return the whole tag of the Bento. Raises StepError when an argument of a deployment is not valid."""
        if not isinstance(replicas, int) or isinstance(replicas, bool) or not 1 <= replicas <= MOST_REPLICAS:
            raise _bad(f"replicas: {replicas!r:.80} is not a number from 1 to {MOST_REPLICAS}", "such as replicas=1")
        self._folder(name)
        return self.bento(tag)

    def move(
        self,
        name: str,
        percent: float,
        to: str | None,
        *,
        shadow: bool = False,
        sticky: str | None = None,
        guard: Callable[[str], Guard] | None = None,
        key: str = "",
    ) -> tuple[Wanted | None, Wanted]:
        """Want that share of the requests to go to the newest, or the named, Bento. The others share the rest.

        ``guard`` returns the rule by which the router takes the Bento's requests back.
        """
        check_share(percent)
        if self.wanted(name) is None:
            raise self._unknown(name)

        def change(before: Wanted | None) -> Wanted:
            if before is None:  # ended meanwhile
                raise self._unknown(name)
            tag = self.newest(before) if to is None else self.bento(to)
            rule = guard(tag) if guard is not None else None
            after = changes.moved(before, tag, float(percent), shadow=shadow, sticky=sticky, guard=rule)
            return self._noted(before, after, "shadow" if shadow else "move", tag, float(percent), key)

        return self._change(name, change)

    def roll_back(self, name: str, to: str | None = None, *, key: str = "") -> tuple[Wanted | None, Wanted]:
        """Want again what was wanted before the last change of who answers, or all requests at the named Bento.

        A repetition with the same key, with no other change in between, changes nothing.
        """
        if self.wanted(name) is None:
            raise self._unknown(name)

        def change(before: Wanted | None) -> Wanted:
            if before is None:  # ended meanwhile
                raise self._unknown(name)
            if key and before.changes and before.changes[-1].key == key:
                return before
            after = changes.returned(before) if to is None else changes.moved(before, self.bento(to), 100.0)
            main = max(after.shares, key=lambda share: share.percent)
            return self._noted(before, after, "rollback", main.tag, main.percent, key)

        return self._change(name, change)

    def undo(self, before: Wanted | None, failed: Wanted) -> None:
        """Want again what was wanted before a change that failed, unless another change followed."""
        folder = self._folder(failed.name)
        with exclusive(folder / "lock"):
            now = records.wanted(folder)
            if now is None or now.generation != failed.generation:
                return
            if before is not None and before.generation == failed.generation:
                before = self._earlier(folder, now)  # a program was killed before it could undo the same change
            if before is None:
                _remove(folder)
            else:
                records.write(folder, replace(before, generation=failed.generation + 1))

    def _earlier(self, folder: Path, now: Wanted) -> Wanted | None:
        """Return what was wanted before the last change; None when that was nothing and nothing ever answered."""
        if now.past:
            return replace(changes.returned(now), changes=now.changes[:-1])
        status = records.last_status(folder)
        return now if status is not None and status.shares else None

    def look(self, name: str) -> Status | None:
        """Return what the endpoint is. Starts its router if it does not run."""
        folder = self._folder(name)
        if records.wanted(folder) is not None:
            self._ensure_router(folder)
        return records.status(folder)

    def wanted(self, name: str) -> Wanted | None:
        """Return what the endpoint should be; None when it was undeployed."""
        return records.wanted(self._folder(name))

    def observed(self, name: str) -> tuple[Wanted, Status | None, Snapshot | None]:
        """Return what the endpoint should be, is, and has answered. Starts its router if it does not run."""
        folder = self._folder(name)
        status, wanted = self.look(name), records.wanted(folder)
        if wanted is None:
            raise self._unknown(name)
        return wanted, status, observed(folder)

    def state(self, name: str) -> tuple[Wanted, Status] | None:
        """Return what the endpoint should be, and is; None when it does not run. Reads files only."""
        folder = self._folder(name)
        wanted, status = records.wanted(folder), records.status(folder)
        return None if wanted is None or status is None else (wanted, status)

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
        processes.ensure_router(folder, self.environ, self.lasting)

    def _noted(self, before: Wanted | None, after: Wanted, kind: Kind, tag: str, percent: float, key: str) -> Wanted:
        now = time.time_ns() // 1_000_000
        return changes.noted(before, after, changes.change_of(kind, tag, percent, key, now))

    def _keep_reference(self, name: str, content: bytes) -> str:
        """Write the reference of the features' drift into the endpoint's folder; return the name of its file."""
        file = f"reference-{hashlib.sha256(content).hexdigest()[:16]}.json"
        path = self._folder(name) / file
        if not path.exists():
            new = path.with_suffix(".new")
            with os.fdopen(records.create(new), "wb") as handle:
                handle.write(content)
            new.replace(path)
        return file


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


def _remove(folder: Path) -> None:
    """End the endpoint and forget it. The locked files stay: another process may be waiting for them."""
    (folder / records.WANTED).unlink(missing_ok=True)
    processes.end(folder / records.ALIVE)
    (folder / records.STATUS).unlink(missing_ok=True)
    records.tidy(folder)


def _bad(message: str, hint: str | None) -> StepError:
    return StepError(message, code="bad-argument", hint=hint)
