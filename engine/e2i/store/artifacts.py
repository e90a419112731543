"""Artifacts by content: a finished file or folder goes in, its digest comes out, and the same bytes come back for ever.

In: paths. Out: digests and read-only paths. Nothing is visible under its digest before it is complete on disk, and
nothing that no longer has its digest is given out.
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
from e2i.resilience import removal
from e2i.store import disk
from e2i.store.digests import digest_of, signature_of
from e2i.store.verified import Verified

DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
WRITTEN = 946_684_800
"""When every file of the store was written, as its modification time says (2000-01-01): whoever writes to one shows."""
SETTLED_NS = 1_000_000_000
"""How long a file must have been left alone before a look at its times can tell that it still is."""
STAGED = ".put-"


class MissingArtifact(E2IError):
    """An artifact is not in the store."""

    exit_code = Exit.UNAVAILABLE


class CorruptArtifact(MissingArtifact):
    """An artifact no longer has the bytes that it was stored with."""


class Corruption(Struct, frozen=True):
    """An artifact that was found corrupt, and where it is now."""

    digest: str
    kept: Path


class ArtifactStore:
    """Files and folders under ``root/objects``, named by the SHA-256 of their content.

    ``report`` hears of each artifact that is found corrupt and set aside.
    """

    def __init__(self, root: Path, report: Callable[[Corruption], object] = lambda corruption: None) -> None:
        self.root = root
        self._report = report
        self._objects = os.fspath(root / "objects")
        self._verified = Verified(root / "verified")

    def put(self, path: Path, digest: str | None = None) -> str:
        """Moves a file or a folder into the store and returns its digest. Equal content is kept once.

        ``digest`` saves reading a file whose bytes were hashed while they were written. Raises StepError for what
        cannot be kept, such as links.
        """
        staged = self._stage(path)
        try:
            _settle(staged)
            digest = digest or digest_of(staged)
            self._name(staged, digest)
        finally:
            removal.remove_below(self.root, staged)  # nothing, unless it was there already or something went wrong
        return digest

    def path(self, digest: str) -> Path:
        """The read-only file or folder with that digest. Raises MissingArtifact, DamagedArtifact."""
        object_path = self.object_path(digest)
        if self._holds(object_path, digest, remember=True):
            return Path(object_path)
        if os.path.lexists(object_path):
            raise CorruptArtifact(
                f"artifact {digest} in the store at {self.root} no longer has the bytes it was stored with",
                code="artifact-corrupt",
                hint="run the spec again: it is set aside, and the step that makes it will be carried out",
            )
        raise MissingArtifact(
            f"artifact {digest} is not in the store at {self.root}",
            code="artifact-missing",
            hint="run the spec again: the step that makes it will be carried out",
        )

    def has(self, digest: str) -> bool:
        """Whether it is there, with the bytes of its digest. Corruption is set aside, so that it can be made again."""
        object_path = self.object_path(digest)
        if self._holds(object_path, digest, remember=True):
            return True
        return os.path.lexists(object_path) and not self._quarantine(object_path, digest)

    def is_intact(self, digest: str) -> bool:
        """As ``has``, for those who only look: nothing is written or moved."""
        return self._holds(self.object_path(digest), digest, remember=False)

    def drop(self, digest: str) -> None:
        """Takes an artifact out of the store."""
        removal.remove_below(self.root, Path(self.object_path(digest)))

    def object_path(self, digest: str) -> str:
        """Where the artifact is, or would be. Raises MissingArtifact for what is no digest."""
        found = DIGEST.fullmatch(digest)
        if found is None:
            raise MissingArtifact(f"not a digest: {digest[:80]!r}", code="artifact-missing")
        return f"{self._objects}/{found[1][:2]}/{found[1][2:]}"

    def forget_removed(self) -> None:
        """Remembers no more that artifacts were sound which are not there."""

        def is_there(name: str) -> bool:
            digest = f"sha256:{name}"
            return DIGEST.fullmatch(digest) is not None and os.path.lexists(self.object_path(digest))

        self._verified.keep_only(is_there)

    @contextlib.contextmanager
    def locked(self, how: int) -> Iterator[None]:
        """While it is open, nothing is removed (``fcntl.LOCK_SH``), or nobody counts on what is there (``LOCK_EX``)."""
        handle = os.open(self.root / "objects.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, how)
            yield
        finally:
            os.close(handle)

    def _holds(self, object_path: str, digest: str, *, remember: bool) -> bool:
        """Whether the bytes there have that digest: by memory, or else by reading them."""
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
        except OSError:  # a device that cannot give the bytes back any more
            return False
        if remember and before == after and written < now - SETTLED_NS:
            self._verified.note(name, after)
        return True

    def _stage(self, path: Path) -> Path:
        """Moves it next to its place, where a rename will do."""
        _refuse_links(path)
        os.makedirs(self._objects, mode=0o700, exist_ok=True)  # noqa: PTH103 - a text is at hand, on the path of every step
        staged = Path(self._objects, f"{STAGED}{self._identity}-{os.urandom(6).hex()}")
        try:
            path.rename(staged)
        except OSError as error:
            if error.errno != errno.EXDEV:  # from another file system it must be copied
                raise
            import shutil  # seldom needed, and it brings five compression libraries

            shutil.move(path, staged)
        return staged

    def _name(self, staged: Path, digest: str) -> None:
        """Gives what is complete and durable its name."""
        object_path = self.object_path(digest)
        target = Path(object_path)
        if os.path.lexists(object_path):
            self.has(digest)  # corruption makes room
        with self.locked(fcntl.LOCK_SH):
            if self._holds(object_path, digest, remember=False):
                os.utime(object_path, (time.time(), WRITTEN))  # somebody counts on it from now on
            else:
                if not target.parent.exists():
                    target.parent.mkdir(mode=0o700, exist_ok=True)
                    _sync_folder(target.parent.parent)
                disk.refuse_link(target.parent)
                try:
                    staged.rename(target)
                except OSError:
                    if not target.exists():  # not a lost race with an equal put
                        raise
                if target.is_dir():
                    target.chmod(0o555)  # not before: a folder that may not be written to cannot change its parent
                _sync_folder(target.parent)
            # Nobody has written to it since `_settle`: that would show in the modification time.
            signature, written = signature_of(object_path)
            if written == WRITTEN * 1_000_000_000:
                self._verified.note(digest[7:], signature)

    def _quarantine(self, object_path: str, digest: str) -> bool:
        """Moves a corrupt artifact away. False when there is none: an equal put has just made or rebuilt it."""
        with self.locked(fcntl.LOCK_EX):
            if self._holds(object_path, digest, remember=False):
                return False
            if not os.path.lexists(object_path):  # another process was faster
                return True
            kept = self.root / "quarantine" / f"{digest[7:]}-{os.urandom(3).hex()}"
            disk.folder(self.root, "quarantine")
            if os.path.isdir(object_path) and not os.path.islink(object_path):  # noqa: PTH112, PTH114 - as above
                os.chmod(object_path, 0o755)  # noqa: PTH101
            os.rename(object_path, kept)  # noqa: PTH104
        self._report(Corruption(digest, kept))
        return True

    @cached_property
    def _identity(self) -> str:
        """Whose unfinished puts these are."""
        from e2i.resilience.processes import process_identity  # with SQLite, which few steps need

        return process_identity()


def unfinished_of(name: str) -> str | None:
    """Returns the process whose half done put has that name under ``objects``; None for anything else."""
    return name.removeprefix(STAGED).rpartition("-")[0] if name.startswith(STAGED) else None


def _refuse_links(path: Path) -> None:
    """Raises StepError when there is anything but files and folders."""
    below = (Path(at, name) for at, folders, files in os.walk(path) for name in (*folders, *files))
    for inside in itertools.chain((path,), below):
        mode = inside.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            kind = "a link" if stat.S_ISLNK(mode) else "no regular file"
            raise StepError(
                f"{inside.name} cannot be kept: it is {kind}",
                code="bad-artifact",
                hint="keep files and folders only; copy what a link leads to",
            )


def _settle(path: Path) -> None:
    """Makes everything durable and read-only before it gets its name; only the top folder can be moved after this."""
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
            folder.chmod(0o555)
        _sync_folder(folder)


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
