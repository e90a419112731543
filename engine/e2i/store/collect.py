"""Remove from a store what no kept run needs.

In: a store, an age, a size. Out: what was freed.

What dead processes left behind goes first: that needs no disk space. Then rows are removed in one transaction, then the
files that nothing refers to. A killed collection only leaves files that the next one finds. Runs hold a shared lock on
the store, so a collection knows whether anybody relies on its content. Links are never followed.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import re
import sqlite3
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from e2i.catalog.registry import Registry
from e2i.documents import Count, Version
from e2i.errors import BadInput
from e2i.resilience import removal
from e2i.resilience.lock import exclusive
from e2i.resilience.processes import process_alive
from e2i.resilience.transaction import transaction
from e2i.store import disk, ownership, retention, use
from e2i.store.approvals import ApprovalTable
from e2i.store.artifacts import WRITTEN, ArtifactStore, unfinished_of
from e2i.store.database import FILE, StoreError, open_for_writing, store_error
from e2i.store.reading import open_for_reading
from e2i.store.retention import Wishes
from e2i.store.usage import UsageTable

DAY_MS = 86_400_000
MARGIN_MS = 3_600_000
"""Margin before the start of the first current run. What was used later is kept: current runs may have planned on it.
"""
NAMED = re.compile(r"sha256:[0-9a-f]{64}")
RUNS = (
    "SELECT run, status, holder, started_ms, coalesce(ended_ms, started_ms) AS at_ms,"
    " run IN (SELECT run FROM pins) AS pinned FROM runs ORDER BY at_ms DESC, run DESC"
)
RESULTS = "SELECT fingerprint, outputs, telemetry, run, created_ms FROM results"
TRASH = "trash"
PLANS = "plans"
"""The folder of the plans that agents asked for. They are kept as long as runs, approved ones longer."""
DISK_FULL = ("disk-full", "disk-failing")
"""Error codes of a full disk. SQLite reports it as failing when it cannot create its shared files."""


class Wish(Struct, frozen=True):
    """What to keep: runs that ended in the last ``keep_ms``, and the latest ones up to ``most`` bytes of artifacts.

    None: no limit. Pinned and running runs are always kept.
    """

    keep_ms: int | None = None
    most: int | None = None
    tools: Wishes = Wishes()
    """What is kept of the tools and of logs."""
    registry: Registry | None = None
    """The tools of the environment. None: those of e2i."""


class Freed(Struct, kw_only=True, rename={"size": "freed_bytes", "left": "left_bytes"}):
    """Output of `e2i gc --json`. Filled in during the collection."""

    schema_version: Version = 1
    dry_run: Annotated[bool, Meta(description="Whether this was a dry run, which removes nothing.")]
    runs: Annotated[list[str], Meta(description="The removed runs.")] = field(default_factory=list)
    results: Count = 0
    objects: Annotated[Count, Meta(description="Artifacts.")] = 0
    folders: Annotated[Count, Meta(description="Folders of runs, scratch files, unfinished and corrupt artifacts.")] = 0
    size: Annotated[Count, Meta(description="Size of what was removed.")] = 0
    left: Annotated[Count, Meta(description="Size of the kept artifacts.")] = 0
    postponed: Annotated[Count, Meta(description="Artifacts kept for running runs; a later `gc` removes them.")] = 0
    tools: Annotated[
        dict[str, list[str]], Meta(description="Of each tool: removed Bentos, studies, Feast versions, MLflow runs.")
    ] = field(default_factory=dict)
    logs: Annotated[Count, Meta(description="Removed logs of kept runs.")] = 0
    tools_postponed: Annotated[
        bool, Meta(description="Whether tools and logs were left alone, because runs use the store.")
    ] = False

    def __add__(self, other: Freed) -> Freed:
        return Freed(
            dry_run=self.dry_run,
            runs=self.runs + other.runs,
            results=self.results + other.results,
            objects=self.objects + other.objects,
            folders=self.folders + other.folders,
            size=self.size + other.size,
            left=self.left + other.left,
            postponed=self.postponed + other.postponed,
            tools={name: [*self.tools.get(name, ()), *other.tools.get(name, ())] for name in self.tools | other.tools},
            logs=self.logs + other.logs,
            tools_postponed=self.tools_postponed or other.tools_postponed,
        )


def collect(root: Path, wish: Wish, now_ms: int, *, dry_run: bool = False) -> Freed:
    """Removes what no kept run needs. Raises StoreError, and Refused for a store that does not belong to this user
    alone.
    """
    path = root / FILE
    ownership.check(root)
    if not path.exists():
        return Freed(dry_run=dry_run)
    try:
        if dry_run:
            with use.alone(root) as alone:
                return _collect(root, wish, now_ms, alone=alone, write=False)
        with exclusive(root / "collect.lock"), use.alone(root) as alone:
            freed = _removed(root, TRASH)
            if alone:
                freed += _clear(root)
            return freed + _collect_on_full_disk(root, wish, now_ms, alone=alone)
    except (sqlite3.Error, OSError) as error:
        raise store_error(error, path) from error


def _clear(root: Path) -> Freed:
    """Removes scratch folders and unfinished puts of a store without current runs. Needs no disk space."""
    freed = Freed(dry_run=False)
    for name in removal.names(root, "tmp"):
        freed += _removed(root, "tmp", name)
    for name in removal.names(root, "objects"):
        if (holder := unfinished_of(name)) is not None and not process_alive(holder):
            freed += _removed(root, "objects", name)
    return freed


def _removed(root: Path, *names: str) -> Freed:
    if not os.path.lexists(root.joinpath(*names)):
        return Freed(dry_run=False)
    freed = Freed(dry_run=False, folders=1, size=_size(root.joinpath(*names)))
    removal.remove(root, *names)
    return freed


def _collect_on_full_disk(root: Path, wish: Wish, now_ms: int, *, alone: bool) -> Freed:
    """Removes rows first, then files. When the disk is too full to write the rows, removes some files first.

    The runs to be removed then lose artifacts that only they need. These are rebuilt if somebody needs them.
    """
    try:
        return _collect(root, wish, now_ms, alone=alone, write=True)
    except StoreError as error:
        if error.code not in DISK_FULL:
            raise
        full = error
    except (sqlite3.Error, OSError) as error:
        full = store_error(error, root / FILE)
        if full.code not in DISK_FULL:
            raise
    with _transaction(root / FILE, write=False) as database:
        collection = _Collection(root, database, wish, now_ms, alone=alone, dry_run=False)
        collection.decide()
    collection.clean_tools()  # before what rewrites files
    freed = collection.sweep()
    if not freed.size:
        raise full
    forgotten = _collect(root, wish, now_ms, alone=alone, write=True)
    return replace(freed, runs=[], results=0, left=0, postponed=0) + forgotten


def _collect(root: Path, wish: Wish, now_ms: int, *, alone: bool, write: bool) -> Freed:
    with _transaction(root / FILE, write=write) as database:
        collection = _Collection(root, database, wish, now_ms, alone=alone, dry_run=not write)
        collection.forget()
    collection.sweep()
    return collection.clean_tools()


def pin(root: Path, run: str, now_ms: int) -> None:
    """Keeps a run forever. Raises BadInput when there is no such run."""
    with _transaction(_state(root), write=True) as database:
        if database.execute("SELECT 1 FROM runs WHERE run = ?", (run,)).fetchone() is None:
            raise BadInput(f"no run {run!r} in the store", code="unknown-run", hint="`e2i runs` lists them")
        database.execute("INSERT OR IGNORE INTO pins VALUES (?, ?)", (run, now_ms))


def unpin(root: Path, run: str) -> None:
    """Allows a pinned run to be removed. Raises BadInput when the run is not pinned."""
    with _transaction(_state(root), write=True) as database:
        if database.execute("DELETE FROM pins WHERE run = ?", (run,)).rowcount == 0:
            pinned = ", ".join(row[0] for row in database.execute("SELECT run FROM pins ORDER BY run LIMIT 20"))
            raise BadInput(f"run {run!r} is not pinned", code="unknown-run", hint=f"pinned: {pinned or 'none'}")


class _Collection:
    """The state of one collection."""

    def __init__(
        self, root: Path, database: sqlite3.Connection, wish: Wish, now_ms: int, *, alone: bool, dry_run: bool
    ) -> None:
        self.freed = Freed(dry_run=dry_run)
        self._root = root
        self._database = database
        self._wish = wish
        self._now_ms = now_ms
        self._alone = alone
        self._dry_run = dry_run
        self._store = ArtifactStore(root)
        self._is_shared = ownership.is_shared(root)
        """Then the last use of an artifact of another user is not known."""
        self._objects = list(_objects(root))
        self._before_ms = now_ms - MARGIN_MS
        """Unless the store is unused, what was used later than this is kept for now."""
        self._live: set[str] = set()
        self._known: set[str] = set()
        """The runs whose folders are kept."""
        self._needed: set[str] = set()
        """The artifacts that are kept."""
        self._approved: set[str] = set()
        """The digests of plans with an approval."""
        self._texts: list[str] = []
        """What kept rows say about artifacts."""
        self._unfinished_ms: int | None = None
        """The start of the first unfinished run that is kept."""

    def forget(self) -> None:
        """Removes the rows of runs that are not kept, and results that no kept run has."""
        gone = self.decide()
        if not self._dry_run:
            if not self._alone:  # runs that planned with these results may still need their artifacts
                self._touch(_named(text for row in gone for text in (row["outputs"], row["telemetry"])))
            self._delete({row["fingerprint"] for row in gone})

    def decide(self) -> list[sqlite3.Row]:
        """Finds what is kept. Returns the results to remove."""
        runs = self._database.execute(RUNS).fetchall()
        live = [row for row in runs if row["status"] == "running" and process_alive(str(row["holder"]))]
        self._live = {row["run"] for row in live}
        self._before_ms = min([self._before_ms, *(row["started_ms"] - MARGIN_MS for row in live)])
        kept = self._kept(runs)
        self._approved = ApprovalTable(self._database).valid_plans()
        results = self._database.execute(RESULTS).fetchall()
        wanted = self._wanted(kept)
        known = {row["run"] for row in runs}
        gone = [row for row in results if row["fingerprint"] not in wanted and not self._is_kept(row, kept, known)]
        removed = {row["fingerprint"] for row in gone}
        retained = [row for row in results if row["fingerprint"] not in removed]
        # The run that produced a kept result is kept too.
        self._known = kept | (known & {row["run"] for row in retained})
        self.freed.runs = sorted(known - self._known)
        self.freed.results = len(gone)
        self._needed = _named(text for row in retained for text in (row["outputs"], row["telemetry"]))
        self._needed |= _named(row[0] for row in self._database.execute("SELECT body FROM outbox"))
        self._needed |= set().union(*map(self._named_by, kept))
        if self._wish.tools != Wishes():
            self._remember(retained)
        return gone

    def _remember(self, retained: Sequence[sqlite3.Row]) -> None:
        """Keeps what the tools need to know about what is kept."""
        database = self._database
        steps = database.execute("SELECT run, outputs FROM steps WHERE outputs IS NOT NULL")
        self._texts = [row[1] for row in steps if row[0] in self._known]
        self._texts += [text for row in retained for text in (row["outputs"], row["telemetry"])]
        self._texts += [row[0] for row in database.execute("SELECT body FROM outbox")]
        open_runs = database.execute("SELECT run, started_ms FROM runs WHERE status != 'succeeded'")
        self._unfinished_ms = min((row[1] for row in open_runs if row[0] in self._known), default=None)

    def clean_tools(self) -> Freed:
        """Removes what the tools keep for nobody, unless runs use the store."""
        wanted = self._wish.tools
        if wanted == Wishes():
            return self.freed
        if not self._alone:
            self.freed.tools_postponed = True
            return self.freed
        removed = retention.collect(
            self._root,
            wanted,
            registry=self._wish.registry or Registry(),
            texts=self._texts,
            digests=self._needed,
            runs=self._known,
            since_ms=self._unfinished_ms,
            now_ms=self._now_ms,
            dry_run=self._dry_run,
            size_of=_size,
        )
        self.freed.tools, self.freed.logs = removed.tools, removed.logs
        self.freed.size += removed.size
        return self.freed

    def sweep(self) -> Freed:
        """Removes the files that nothing refers to."""
        for digest, path, size in self._objects:
            if digest in self._needed:
                self.freed.left += size
            elif self._discard(path):
                self.freed.objects += 1
                self.freed.size += size
            else:
                self.freed.postponed += 1
                self.freed.left += size
        for where in self._litter():
            self.freed.folders += 1
            self.freed.size += _size(self._root.joinpath(*where))
            if not self._dry_run:
                removal.remove(self._root, *where)
        if not self._dry_run:
            removal.remove(self._root, TRASH)
            self._store.forget_removed()
        return self.freed

    def _kept(self, runs: Sequence[sqlite3.Row]) -> set[str]:
        """Returns the runs that are pinned, running, young enough and, from the latest on, small enough together."""
        kept = {row["run"] for row in runs if row["pinned"]} | self._live
        sizes = {digest: size for digest, _, size in self._objects}
        held: set[str] = set().union(*map(self._named_by, kept))
        size = sum(sizes.get(digest, 0) for digest in held)
        for row in runs:
            if row["run"] in kept or (self._since is not None and row["at_ms"] < self._since):
                continue
            more = self._named_by(row["run"]) - held
            size += sum(sizes.get(digest, 0) for digest in more)
            if self._wish.most is not None and size > self._wish.most:
                break
            held |= more
            kept.add(row["run"])
        return kept

    @property
    def _since(self) -> int | None:
        return None if self._wish.keep_ms is None else self._now_ms - self._wish.keep_ms

    def _wanted(self, kept: Collection[str]) -> set[str]:
        """Returns the fingerprints of the steps of kept runs, and of steps that are being executed."""
        steps = self._database.execute("SELECT run, fingerprint FROM steps WHERE fingerprint IS NOT NULL")
        return {row[1] for row in steps if row[0] in kept} | {
            row[0] for row in self._database.execute("SELECT fingerprint FROM claims")
        }

    def _is_kept(self, result: sqlite3.Row, kept: Collection[str], known: Collection[str]) -> bool:
        """Returns whether a result that no step refers to is kept: of a kept run, or recent and of another store."""
        if result["run"] in known:
            return result["run"] in kept
        return self._wish.most is None and (self._since is None or result["created_ms"] >= self._since)

    def _named_by(self, run: str) -> set[str]:
        return _named(row[0] for row in self._database.execute("SELECT outputs FROM steps WHERE run = ?", (run,)))

    def _delete(self, fingerprints: Iterable[str]) -> None:
        database = self._database
        database.executemany("DELETE FROM results WHERE fingerprint = ?", [(one,) for one in fingerprints])
        for table in ("runs", "steps", "attempts"):
            database.executemany(f"DELETE FROM {table} WHERE run = ?", [(run,) for run in self.freed.runs])
        for run in self.freed.runs:
            UsageTable(database).delete(run)
        database.execute("DELETE FROM latest WHERE fingerprint NOT IN (SELECT fingerprint FROM results)")

    def _touch(self, digests: Iterable[str]) -> None:
        for digest in digests:
            with contextlib.suppress(FileNotFoundError):
                os.utime(self._store.object_path(digest), (self._now_ms / 1000, WRITTEN))

    def _discard(self, path: Path) -> bool:
        """Removes an artifact from the store, unless somebody may rely on it."""
        with contextlib.nullcontext() if self._dry_run else self._store.locked(fcntl.LOCK_EX):
            if not self._alone and (self._is_shared or _used_ms(path) >= self._before_ms):
                return False
            if not self._dry_run:
                disk.folder(self._root, TRASH)
                with (
                    removal.inside(self._root, "objects", path.parent.name) as shelf,
                    removal.inside(self._root, TRASH) as trash,
                ):
                    if (found := _look(path)) is not None and stat.S_ISDIR(found.st_mode):
                        with contextlib.suppress(PermissionError):  # of another user: writable for the group
                            path.chmod(0o755)
                    name = f"{path.parent.name}{path.name}-{os.urandom(3).hex()}"
                    os.rename(path.name, name, src_dir_fd=shelf, dst_dir_fd=trash)
            return True

    def _litter(self) -> Iterator[tuple[str, str]]:
        """Yields names in the store that dead runs and processes left behind, old quarantined artifacts, old plans."""
        for folder, retained in (("runs", self._known | self._live), ("tmp", self._live)):
            for name in removal.names(self._root, folder):
                if name not in retained and self._is_old(self._root / folder / name):
                    yield folder, name
        for name in removal.names(self._root, "objects"):
            holder = unfinished_of(name)
            if holder is not None and not process_alive(holder) and self._is_old(self._root / "objects" / name):
                yield "objects", name
        for name in removal.names(self._root, "quarantine"):
            if self._since is None or _changed_ms(self._root / "quarantine" / name) < self._since:
                yield "quarantine", name
        for name in removal.names(self._root, PLANS) if self._since is not None else ():
            is_approved = any(plan.startswith(f"sha256:{name}") for plan in self._approved)
            if not is_approved and _changed_ms(self._root / PLANS / name) < (self._since or 0):
                yield PLANS, name

    def _is_old(self, path: Path) -> bool:
        return self._alone or _changed_ms(path) < self._before_ms


def _objects(root: Path) -> Iterator[tuple[str, Path, int]]:
    """Yields every artifact: digest, path and size, in order."""
    for shelf in removal.names(root, "objects"):
        for name in removal.names(root, "objects", shelf) if len(shelf) == 2 else ():
            path = root / "objects" / shelf / name
            yield f"sha256:{shelf}{name}", path, _size(path)


def _named(texts: Iterable[str | None]) -> set[str]:
    """Returns the digests of the artifacts in these texts."""
    return {digest for text in texts if text for digest in NAMED.findall(text)}


# Runs may be active meanwhile: what was found a moment ago may be gone.


def _size(path: Path) -> int:
    """Returns the bytes of a file, or of all files of a folder."""
    walked = () if os.path.islink(path) else os.walk(path)  # noqa: PTH114 - a walk would follow the link
    files = [Path(at) / name for at, _, names in walked for name in names] or [path]
    return sum(found.st_size for file in files if (found := _look(file)) and not stat.S_ISDIR(found.st_mode))


def _changed_ms(path: Path) -> float:
    return found.st_ctime_ns // 1_000_000 if (found := _look(path)) else math.inf


def _used_ms(path: Path) -> float:
    return found.st_atime_ns // 1_000_000 if (found := _look(path)) else math.inf


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _transaction(path: Path, *, write: bool) -> Iterator[sqlite3.Connection]:
    """Opens the state in a transaction: all changes are committed at its end, or none. Raises StoreError."""
    database = open_for_reading(path) if not write else _intact(path)
    with contextlib.closing(database), transaction(database, "BEGIN IMMEDIATE" if write else "BEGIN"):
        yield database


def _intact(path: Path) -> sqlite3.Connection:
    database, aside = open_for_writing(path)
    if aside is not None:
        database.close()
        raise StoreError(
            f"the state of the store is corrupt and was moved to {aside}; nothing was removed",
            code="store-corrupt",
            hint="repair the file and move it back, or run gc again, which removes all artifacts of the lost state",
        )
    return database


def _state(root: Path) -> Path:
    if not (root / FILE).exists():
        raise BadInput(f"no runs in the store {root}", code="unknown-run")
    return root / FILE
