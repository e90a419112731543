"""Back up a store while it is used, and restore it.

In: a store and a new folder. Out: counts of what was copied.

Every SQLite database is copied with SQLite's own backup. The state goes first. What it records as delivered or created
is then also in the copies of trackers and tools, which are younger. What these hold beyond the state is delivered or
created again under the same keys. No collection runs meanwhile. Artifacts are linked where the file system is the same.
A list with the digest of every file is written last, so an unfinished backup is not valid. Restoring verifies each file
against the list. Links are never followed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated

from msgspec import Meta, Struct

from e2i.documents import Count, Version
from e2i.errors import BadInput
from e2i.resilience import removal
from e2i.resilience.lock import exclusive
from e2i.store import ownership
from e2i.store.artifacts import DIGEST, ArtifactStore
from e2i.store.database import FILE, WAIT, StoreError, store_error
from e2i.store.digests import digest_of

LIST = "backup.json"
PASSING = ("tmp", "trash", "verified", "quarantine", "queue")
"""Temporary folders of a store, which are not backed up."""
NEVER = (*PASSING, LIST)
"""Names at the top of a store that no backup lists."""
BESIDE = (".lock", "-wal", "-shm", "-journal")
"""Endings of files that belong to a database or to a lock. Such a file beside a copied database would change what is
read from it.
"""
SQLITE = b"SQLite format 3\0"


class Copied(Struct, kw_only=True, rename={"size": "bytes"}):
    """Counts of what was copied. They are filled in during the copy."""

    schema_version: Version = 1
    files: Count = 0
    databases: Annotated[
        Count, Meta(description="SQLite databases among these files, each copied as of one moment.")
    ] = 0
    objects: Annotated[Count, Meta(description="Artifacts; each may have many files.")] = 0
    size: Count = 0
    linked: Annotated[Count, Meta(description="Files that are hard links to those of the store.")] = 0
    corrupt: Annotated[tuple[str, ...], Meta(description="Artifacts left out because their digest did not match.")] = ()


class BackupDocument(Copied, kw_only=True):
    """Output of `e2i backup DIR --json`."""

    backup: Annotated[str, Meta(description="The new backup folder.")]


class RestoreDocument(Copied, kw_only=True):
    """Output of `e2i restore DIR --json`."""

    store: Annotated[str, Meta(description="The new store.")]


def back_up(store: Path, target: Path, now_ms: int) -> BackupDocument:
    """Copies the store to the new folder ``target``. Raises BadInput, Refused and StoreError."""
    ownership.check(store)
    if not (store / FILE).exists():
        raise BadInput(f"nothing to back up in the store {store}", code="unknown-run", hint="use --store DIR")
    target = target.absolute()
    if target.resolve().is_relative_to(store):
        raise BadInput(
            f"the backup {target} would be inside the store", code="bad-option", hint="choose another folder"
        )
    with _made(target, "backup") as staged:
        copied = BackupDocument(backup=str(target))
        listed: dict[str, str] = {}
        with exclusive(store / "collect.lock"):
            _copy_database(store / FILE, staged / FILE)
            _note(copied, listed, staged, FILE)
            copied.databases += 1
            _copy_objects(store, staged, copied, listed)
            for name in _files(store):
                _copy_file(store, staged, name, copied, listed)
        document = {"schema_version": 1, "created_ms": now_ms, "files": listed}
        _write(staged / LIST, json.dumps(document, indent=1, sort_keys=True).encode())
    return copied


def restore(source: Path, store: Path) -> RestoreDocument:
    """Creates a store from a backup. Raises BadInput where a store exists, StoreError for a corrupt backup."""
    listed = _listed(source)
    copied = RestoreDocument(store=str(store))
    with _made(store, "store") as staged:
        for name, digest in sorted(listed.items()):
            _check_name(name)
            copy = staged / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                _copy_plainly(source, name, copy)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise _corrupt(f"{name} is missing") from error
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise _corrupt(f"{name} is a link") from error
                raise
            if digest_of(copy) != digest:
                raise _corrupt(f"{name} does not match its digest")
            copied.files += 1
            copied.size += copy.stat().st_size
        copied.objects = _check_objects(staged)
        copied.databases = sum(_is_database(staged / name) for name in listed)
        _end_runs(staged)
    return copied


@contextlib.contextmanager
def _made(target: Path, what: str) -> Iterator[Path]:
    """Creates a folder that gets its name when it is complete. Raises BadInput when the name is taken."""
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise BadInput(
            f"the {what} {target} already exists and is not empty",
            code="not-empty",
            hint="choose a new folder",
        )
    staged = target.parent / f".{target.name}.making-{os.urandom(4).hex()}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.mkdir(mode=0o700)
        mask = os.umask(0o077)
        try:
            yield staged
        finally:
            os.umask(mask)
        staged.replace(target)
    except (sqlite3.Error, OSError) as error:
        problem = store_error(error, staged / FILE)
        if problem.code != "store-not-writable":
            raise problem from error
        copy = str(getattr(error, "filename", None) or staged)
        hint = "choose another folder" if copy.startswith(str(staged)) else f"check the permissions of {copy}"
        raise StoreError(f"the {what} {target} cannot be created: {error}", code=problem.code, hint=hint) from error
    finally:
        with contextlib.suppress(OSError):
            removal.remove(target.parent, staged.name)


def _files(store: Path, *nested: str) -> Iterator[str]:
    """Yields the files that are copied unchanged, all but state and artifacts, as names relative to the store."""
    for name in removal.names(store, *nested):
        if not nested and (name in (*NEVER, "objects") or name.startswith(FILE)):
            continue
        try:
            mode = store.joinpath(*nested, name).lstat().st_mode
        except FileNotFoundError:  # for example, the log of a database that was closed
            continue
        if stat.S_ISDIR(mode):
            yield from _files(store, *nested, name)
        elif stat.S_ISREG(mode) and not name.endswith(BESIDE):
            yield "/".join((*nested, name))


def _copy_file(store: Path, staged: Path, name: str, copied: Copied, listed: dict[str, str]) -> None:
    copy = staged / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        if _is_database(store / name):
            _copy_database(store / name, copy)
            copied.databases += 1
        else:
            _copy_plainly(store, name, copy)
    except (FileNotFoundError, NotADirectoryError, sqlite3.OperationalError):
        if (store / name).exists():
            raise
        copy.unlink(missing_ok=True)
        return  # a step or a tool has removed it
    _note(copied, listed, staged, name)


def _copy_objects(store: Path, staged: Path, copied: Copied, listed: dict[str, str]) -> None:
    artifacts = ArtifactStore(store)
    corrupt = []
    for shelf in removal.names(store, "objects"):
        for name in removal.names(store, "objects", shelf) if len(shelf) == 2 else ():
            digest = f"sha256:{shelf}{name}"
            if DIGEST.fullmatch(digest) is None:
                continue
            if not artifacts.is_intact(digest):
                corrupt.append(digest)
                continue
            copied.objects += 1
            for file in _walk(store, "objects", shelf, name):
                copy = staged / file
                copy.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(store / file, copy, follow_symlinks=False)
                    copied.linked += 1
                except OSError:  # another file system, or one without links
                    _copy_plainly(store, file, copy)
                _note(copied, listed, staged, file)
    copied.corrupt = tuple(corrupt)


def _walk(store: Path, *names: str) -> Iterator[str]:
    """Yields the file of that name, or all files inside the folder."""
    if not stat.S_ISDIR(store.joinpath(*names).lstat().st_mode):
        yield "/".join(names)
        return
    for name in removal.names(store, *names):
        yield from _walk(store, *names, name)


def _copy_plainly(root: Path, name: str, target: Path) -> None:
    """Copies a regular file with its times and mode, without following a link. Raises OSError."""
    *parents, last = name.split("/")
    with removal.inside(root, *parents) as folder:
        handle = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(handle, "rb") as read, target.open("xb") as written:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.ELOOP, "not a regular file", name)
        shutil.copyfileobj(read, written, 1 << 20)
        written.flush()
        os.fchmod(written.fileno(), found.st_mode & (0o555 if parents[:1] == ["objects"] else 0o700))
        os.utime(written.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
        os.fsync(written.fileno())


def _copy_database(path: Path, target: Path) -> None:
    """Copies a database as of one moment, although others may write to it. Raises sqlite3.Error."""
    with (
        contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=WAIT)) as read,
        contextlib.closing(sqlite3.connect(target)) as written,
    ):
        read.backup(written)
    target.chmod(0o600)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _is_database(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with os.fdopen(handle, "rb") as file:
        return stat.S_ISREG(os.fstat(handle).st_mode) and file.read(len(SQLITE)) == SQLITE


def _note(copied: Copied, listed: dict[str, str], staged: Path, name: str) -> None:
    copied.files += 1
    copied.size += (staged / name).stat().st_size
    listed[name] = digest_of(staged / name)


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _listed(source: Path) -> Mapping[str, str]:
    """Returns the list of files in a backup. Raises BadInput when the folder is not a backup."""
    try:
        with removal.inside(source) as folder:
            handle = os.open(LIST, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            document = json.load(file)
        version, files = document["schema_version"], document["files"]
        if version != 1 or not all(isinstance(digest, str) for digest in files.values()) or FILE not in files:
            raise ValueError("not a list that this version of e2i writes")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise BadInput(
            f"{source} is not a backup: {LIST} cannot be read: {why}",
            code="no-backup",
            hint="create one with `e2i backup DIR`",
        ) from error
    return dict(files)


def _check_name(name: str) -> None:
    parts = PurePosixPath(name).parts
    if not parts or name != "/".join(parts) or name.startswith("/") or ".." in parts or "\0" in name:
        raise _corrupt(f"its list names {name[:80]!r}")
    if parts[0] in NEVER or (name.endswith(BESIDE) and parts[0] != "objects"):
        raise _corrupt(f"its list names {name[:80]!r}")


def _check_objects(staged: Path) -> int:
    """Makes folders of artifacts read-only again and verifies each artifact. Returns their number."""
    count = 0
    for shelf in removal.names(staged, "objects"):
        for name in removal.names(staged, "objects", shelf):
            path = staged / "objects" / shelf / name
            if digest_of(path) != f"sha256:{shelf}{name}":
                raise _corrupt(f"artifact {shelf}{name} does not match its digest")
            for at, _, _ in os.walk(path):
                os.chmod(at, 0o555)  # noqa: PTH101
            count += 1
    return count


def _end_runs(staged: Path) -> None:
    """Marks runs that were running during the backup as interrupted. Raises StoreError when the state is corrupt."""
    from e2i.store.runs import RunStore

    with contextlib.closing(RunStore(staged, lambda digest: True)) as run_store:
        if run_store.quarantined is not None:
            raise _corrupt(f"{FILE} is corrupt")
        run_store.interrupt_all()


def _corrupt(why: str) -> StoreError:
    return StoreError(
        f"the backup is corrupt: {why}", code="backup-corrupt", hint="nothing was restored: use another backup"
    )
