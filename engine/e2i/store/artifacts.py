"""Store artifacts by content: the digest of a file or folder always returns the same bytes.

In: paths. Out: digests and read-only paths. Nothing is visible under its digest before it is complete on disk. Nothing
is returned that no longer has its digest.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from msgspec import Struct

from e2i.errors import E2IError, Exit, StepError
from e2i.regular import folder_mode, open_private
from e2i.resilience import removal
from e2i.store import disk
from e2i.store.digests import digest_of, signature_of
from e2i.store.verified import Verified

DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
WRITTEN = 946_684_800
"""Modification time of every file of the store (2000-01-01). A later write to a file changes the time."""
SETTLED_NS = 1_000_000_000
"""Time without changes after which a file's times prove that it is unchanged."""
STAGED = ".put-"
FOLDER = 0o555
"""Permissions of a folder in the store. In a store of a group, the group may remove its content."""


class MissingArtifact(E2IError):
    """Raised when an artifact is not in the store."""

    exit_code = Exit.UNAVAILABLE


class CorruptArtifact(MissingArtifact):
    """Raised when an artifact no longer has the bytes that it was stored with."""


class Corruption(Struct, frozen=True):
    """A corrupt artifact, and the path to which it was moved."""

    digest: str
    kept: Path


class ArtifactStore:
    """Files and folders under ``root/objects``, named by the SHA-256 of their content.

    ``report`` is called for each corrupt artifact that is quarantined.
    """

    def __init__(self, root: Path, report: Callable[[Corruption], object] = lambda corruption: None) -> None:
        self.root = root
        self._report = report
        self._objects = os.fspath(root / "objects")
        self._verified = Verified(root / "verified")

    def put(self, path: Path, digest: str | None = None) -> str:
        """Moves a file or a folder into the store and returns its digest. Equal content is kept once.

        ``digest`` saves reading a file whose bytes were hashed while they were written. Raises StepError for what
        cannot be stored, such as links.
        """
        staged = self._stage(path)
        try:
            _settle(staged)
            digest = digest or digest_of(staged)
            self._name(staged, digest)
        finally:
            removal.remove_below(self.root, staged)  # nothing is left, except after an error or an equal put
        return digest

    def path(self, digest: str) -> Path:
        """Returns the read-only file or folder with that digest. Raises MissingArtifact and CorruptArtifact."""
        object_path = self.object_path(digest)
        if self._holds(object_path, digest, remember=True):
            return Path(object_path)
        if os.path.lexists(object_path):
            raise CorruptArtifact(
                f"artifact {digest} in the store at {self.root} no longer has the bytes it was stored with",
                code="artifact-corrupt",
                hint="run the spec again: the artifact is quarantined and rebuilt",
            )
        raise MissingArtifact(
            f"artifact {digest} is not in the store at {self.root}",
            code="artifact-missing",
            hint="run the spec again: the artifact is rebuilt",
        )

    def has(self, digest: str) -> bool:
        """Returns whether the artifact is in the store and intact. A corrupt one is quarantined, so that it can be
        rebuilt.
        """
        object_path = self.object_path(digest)
        if self._holds(object_path, digest, remember=True):
            return True
        return os.path.lexists(object_path) and not self._quarantine(object_path, digest)

    def is_intact(self, digest: str) -> bool:
        """Returns the same as ``has`` for readers: nothing is written or moved."""
        return self._holds(self.object_path(digest), digest, remember=False)

    def drop(self, digest: str) -> None:
        """Removes an artifact from the store."""
        removal.remove_below(self.root, Path(self.object_path(digest)))

    def object_path(self, digest: str) -> str:
        """Returns the path of the artifact, stored or not. Raises MissingArtifact for an invalid digest."""
        found = DIGEST.fullmatch(digest)
        if found is None:
            raise MissingArtifact(f"not a digest: {digest[:80]!r}", code="artifact-missing")
        return f"{self._objects}/{found[1][:2]}/{found[1][2:]}"

    def forget_removed(self) -> None:
        """Removes artifacts that are no longer in the store from the memory of verified ones."""

        def is_there(name: str) -> bool:
            digest = f"sha256:{name}"
            return DIGEST.fullmatch(digest) is not None and os.path.lexists(self.object_path(digest))

        self._verified.keep_only(is_there)

    @contextlib.contextmanager
    def locked(self, how: int) -> Iterator[None]:
        """Holds a lock: with ``fcntl.LOCK_SH`` nothing is removed, with ``LOCK_EX`` nobody relies on what is stored."""
        handle = open_private(self.root / "objects.lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(handle, how)
            yield
        finally:
            os.close(handle)

    def _holds(self, object_path: str, digest: str, *, remember: bool) -> bool:
        """Returns whether the bytes have that digest, from memory or by reading them."""
        name = digest[7:]
        try:
            before, written = signature_of(object_path)
            if self._verified.knows(name, before):
                return True
            now = time.time_ns()
            if digest_of(Path(object_path)) != digest:
                return False
            after, _ = signature_of(object_path)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return False
        except OSError:  # a device that can no longer read the bytes
            return False
        if remember and before == after and written < now - SETTLED_NS:
            self._verified.note(name, after)
        return True

    def _stage(self, path: Path) -> Path:
        """Moves the path into the objects folder, so that a rename is enough to store it."""
        _refuse_links(path)
        os.makedirs(self._objects, mode=folder_mode(self.root), exist_ok=True)  # noqa: PTH103 - faster with a text, for every step
        staged = Path(self._objects, f"{STAGED}{self._identity}-{os.urandom(6).hex()}")
        try:
            path.rename(staged)
        except OSError as error:
            if error.errno != errno.EXDEV:  # from another file system it must be copied
                raise
            import shutil  # rarely needed, and imports five compression libraries

            shutil.move(path, staged)
        return staged

    def _name(self, staged: Path, digest: str) -> None:
        """Moves complete and durable content to the path of its digest."""
        object_path = self.object_path(digest)
        target = Path(object_path)
        if os.path.lexists(object_path):
            self.has(digest)  # a corrupt artifact is moved out of the way
        with self.locked(fcntl.LOCK_SH):
            if self._holds(object_path, digest, remember=False):
                with contextlib.suppress(PermissionError):  # of another user of a group's store
                    os.utime(object_path, (time.time(), WRITTEN))  # a run relies on it from now on
            else:
                if not target.parent.exists():
                    target.parent.mkdir(mode=folder_mode(self._objects), exist_ok=True)
                    _sync_folder(target.parent.parent)
                disk.refuse_link(target.parent)
                try:
                    staged.rename(target)
                except OSError:
                    if not target.exists():  # not a lost race with an equal put
                        raise
                if target.is_dir():
                    target.chmod(
                        FOLDER | folder_mode(self._objects) & 0o070
                    )  # only now: a read-only folder cannot change its parent
                _sync_folder(target.parent)
            # Nobody has written to the artifact since `_settle`: that would change the modification time.
            signature, written = signature_of(object_path)
            if written == WRITTEN * 1_000_000_000:
                self._verified.note(digest[7:], signature)

    def _quarantine(self, object_path: str, digest: str) -> bool:
        """Moves a corrupt artifact away. Returns False when an equal put has just stored or rebuilt it."""
        with self.locked(fcntl.LOCK_EX):
            if self._holds(object_path, digest, remember=False):
                return False
            if not os.path.lexists(object_path):  # another process was faster
                return True
            kept = self.root / "quarantine" / f"{digest[7:]}-{os.urandom(3).hex()}"
            disk.folder(self.root, "quarantine")
            if os.path.isdir(object_path) and not os.path.islink(object_path):  # noqa: PTH112, PTH114 - as above
                with contextlib.suppress(PermissionError):  # as above: writable for the group
                    os.chmod(object_path, 0o755)  # noqa: PTH101
            os.rename(object_path, kept)  # noqa: PTH104
        self._report(Corruption(digest, kept))
        return True

    @cached_property
    def _identity(self) -> str:
        """Returns the process to which unfinished puts belong."""
        from e2i.resilience.processes import process_identity  # few steps need it

        return process_identity()


def unfinished_of(name: str) -> str | None:
    """Returns the process whose unfinished put has that name under ``objects``; None for other names."""
    return name.removeprefix(STAGED).rpartition("-")[0] if name.startswith(STAGED) else None


def _refuse_links(path: Path) -> None:
    """Raises StepError when there is anything but files and folders."""
    nested = (Path(at, name) for at, folders, files in os.walk(path) for name in (*folders, *files))
    for inside in itertools.chain((path,), nested):
        mode = inside.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            kind = "a link" if stat.S_ISLNK(mode) else "not a regular file"
            raise StepError(
                f"{inside.name} cannot be stored: it is {kind}",
                code="bad-artifact",
                hint="store files and folders only; replace a link by a copy of its target",
            )


def _settle(path: Path) -> None:
    """Makes everything durable and read-only before it is stored. Afterwards only the top folder can be moved."""
    folders = []
    files = [path]
    if path.is_dir():
        walked = [(Path(at), names) for at, _, names in os.walk(path)]
        folders = [at for at, _ in walked]
        files = [at / name for at, names in walked for name in names]
    for file in files:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchmod(handle, 0o444)
            os.utime(handle, (time.time(), WRITTEN))
            os.fsync(handle)
        finally:
            os.close(handle)
    for folder in reversed(folders):
        if folder != path:
            folder.chmod(FOLDER | folder_mode(path.parent) & 0o070)
        _sync_folder(folder)


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
