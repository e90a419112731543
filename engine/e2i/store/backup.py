"""Copy a store while it is used, and make a store of such a copy.

In: a store and a folder that is to be made. Out: what was copied. Every SQLite database is copied by SQLite's own
backup. The state goes first: what it says was delivered or made is then in the copies of the trackers and tools, which
are younger; what they hold beyond it is delivered or made again, under the same keys. No collection runs meanwhile.
Artifacts are linked where the file system is the same. A list with the digest of every file is written last, so an
unfinished backup is none. Restoring checks each file against it. Neither follows a link.
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
from typing import Any

from msgspec import Struct

from e2i.errors import BadInput
from e2i.resilience import removal
from e2i.resilience.lock import exclusive
from e2i.store import ownership
from e2i.store.artifacts import DIGEST, ArtifactStore
from e2i.store.database import FILE, WAIT, StoreError, store_error
from e2i.store.digests import digest_of

LIST = "backup.json"
PASSING = ("tmp", "trash", "verified", "quarantine")
"""Folders of a store that are of use to nobody later."""
NEVER = (*PASSING, LIST)
"""Names at the top of a store that no backup lists."""
BESIDE = (".lock", "-wal", "-shm", "-journal")
"""Endings of the files beside a database, or beside what is shared. One that was put beside a copied database would
change what is read from it.
"""
SQLITE = b"SQLite format 3\0"


class Copied(Struct):
    """What was copied, in numbers; ``corrupt``: artifacts that no longer had their digest, and were left out."""

    files: int = 0
    databases: int = 0
    objects: int = 0
    size: int = 0
    linked: int = 0
    corrupt: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "files": self.files,
            "databases": self.databases,
            "objects": self.objects,
            "bytes": self.size,
            "linked": self.linked,
            "corrupt": list(self.corrupt),
        }


def back_up(store: Path, target: Path, now_ms: int) -> Copied:
    """Copies the store to ``target``, which is made. Raises BadInput, Refused and StoreError."""
    ownership.check(store)
    if not (store / FILE).exists():
        raise BadInput(f"there is nothing to back up in the store {store}", code="unknown-run", hint="give --store DIR")
    target = target.absolute()
    if target.resolve().is_relative_to(store):
        raise BadInput(
            f"the backup {target} would lie in the store itself", code="bad-option", hint="name another folder"
        )
    with _made(target, "backup") as staged:
        copied = Copied()
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


def restore(source: Path, store: Path) -> Copied:
    """Makes a store of a backup. Raises BadInput where there is a store already, StoreError for a corrupt backup."""
    listed = _listed(source)
    copied = Copied()
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
                raise _corrupt(f"{name} is not as it was written")
            copied.files += 1
            copied.size += copy.stat().st_size
        copied.objects = _check_objects(staged)
        copied.databases = sum(_is_database(staged / name) for name in listed)
        _end_runs(staged)
    return copied


@contextlib.contextmanager
def _made(target: Path, what: str) -> Iterator[Path]:
    """A folder that gets its name when all is in it. Raises BadInput when there is something of that name."""
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise BadInput(
            f"the {what} {target} is there already, and not empty",
            code="not-empty",
            hint="name a folder that is not there",
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
        hint = "name another folder" if copy.startswith(str(staged)) else f"see to the permissions of {copy}"
        raise StoreError(f"the {what} {target} cannot be made: {error}", code=problem.code, hint=hint) from error
    finally:
        with contextlib.suppress(OSError):
            removal.remove(target.parent, staged.name)


def _files(store: Path, *below: str) -> Iterator[str]:
    """The files that are copied as they are found, but for the state and the artifacts: names from the store on."""
    for name in removal.names(store, *below):
        if not below and (name in (*NEVER, "objects") or name.startswith(FILE)):
            continue
        try:
            mode = store.joinpath(*below, name).lstat().st_mode
        except FileNotFoundError:  # a database that is closed loses its log, for one
            continue
        if stat.S_ISDIR(mode):
            yield from _files(store, *below, name)
        elif stat.S_ISREG(mode) and not name.endswith(BESIDE):
            yield "/".join((*below, name))


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
        return  # a step or a tool has taken it away
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
            for file in _below(store, "objects", shelf, name):
                copy = staged / file
                copy.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(store / file, copy, follow_symlinks=False)
                    copied.linked += 1
                except OSError:  # another file system, or one without links
                    _copy_plainly(store, file, copy)
                _note(copied, listed, staged, file)
    copied.corrupt = tuple(corrupt)


def _below(store: Path, *names: str) -> Iterator[str]:
    """The files at or below a place of the store."""
    if not stat.S_ISDIR(store.joinpath(*names).lstat().st_mode):
        yield "/".join(names)
        return
    for name in removal.names(store, *names):
        yield from _below(store, *names, name)


def _copy_plainly(root: Path, name: str, target: Path) -> None:
    """Copies a regular file with its times and mode, without following a link. Raises OSError."""
    *above, last = name.split("/")
    with removal.inside(root, *above) as folder:
        handle = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(handle, "rb") as read, target.open("xb") as written:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.ELOOP, "no regular file", name)
        shutil.copyfileobj(read, written, 1 << 20)
        written.flush()
        os.fchmod(written.fileno(), found.st_mode & (0o555 if above[:1] == ["objects"] else 0o700))
        os.utime(written.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
        os.fsync(written.fileno())


def _copy_database(path: Path, target: Path) -> None:
    """Copies a database as of one moment, whoever writes to it meanwhile. Raises sqlite3.Error."""
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
    """The list of a backup. Raises BadInput when the folder is none."""
    try:
        with removal.inside(source) as folder:
            handle = os.open(LIST, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(errno.EINVAL, "no regular file")
            document = json.load(file)
        version, files = document["schema_version"], document["files"]
        if version != 1 or not all(isinstance(digest, str) for digest in files.values()) or FILE not in files:
            raise ValueError("it is not one that this version of e2i writes")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise BadInput(
            f"{source} is no backup: {LIST} cannot be read: {why}", code="no-backup", hint="`e2i backup DIR` makes one"
        ) from error
    return dict(files)


def _check_name(name: str) -> None:
    parts = PurePosixPath(name).parts
    if not parts or name != "/".join(parts) or name.startswith("/") or ".." in parts or "\0" in name:
        raise _corrupt(f"its list names {name[:80]!r}")
    if parts[0] in NEVER or (name.endswith(BESIDE) and parts[0] != "objects"):
        raise _corrupt(f"its list names {name[:80]!r}")


def _check_objects(staged: Path) -> int:
    """Makes folders of artifacts read-only again and holds each artifact against its digest. Returns how many."""
    count = 0
    for shelf in removal.names(staged, "objects"):
        for name in removal.names(staged, "objects", shelf):
            path = staged / "objects" / shelf / name
            if digest_of(path) != f"sha256:{shelf}{name}":
                raise _corrupt(f"the artifact {shelf}{name} does not have its digest")
            for at, _, _ in os.walk(path):
                os.chmod(at, 0o555)  # noqa: PTH101
            count += 1
    return count


def _end_runs(staged: Path) -> None:
    """Runs that went on when the backup was made do not go on here. Raises StoreError for a state that is not sound."""
    from e2i.store.runs import RunStore

    with contextlib.closing(RunStore(staged, lambda digest: True)) as run_store:
        if run_store.quarantined is not None:
            raise _corrupt(f"{FILE} is not sound")
        run_store.interrupt_all()


def _corrupt(why: str) -> StoreError:
    return StoreError(
        f"the backup is corrupt: {why}", code="backup-corrupt", hint="nothing was restored: use another backup"
    )
