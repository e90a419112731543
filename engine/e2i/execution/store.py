"""Artifacts by content: a finished file or folder goes in, its digest comes out, and the same bytes come back for ever.

In: paths. Out: digests and read-only paths. Nothing is ever visible under its digest before it is complete on disk.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from e2i.errors import E2IError, Exit

CHUNK = 1 << 20


class MissingArtifact(E2IError):
    """An artifact is not in the store, or no longer has the bytes it was stored with."""

    exit_code = Exit.UNAVAILABLE


class ArtifactStore:
    """Files and folders under ``root/objects``, named by the SHA-256 of their content."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._objects = root / "objects"

    def put(self, path: Path) -> str:
        """Moves a file or a folder into the store and returns its digest. Equal content is kept once."""
        digest = digest_of(path)
        target = self._place(digest)
        if target.exists():
            _remove(path)
            return digest
        target.parent.mkdir(parents=True, exist_ok=True)
        _settle(path)
        staged = Path(tempfile.mkdtemp(prefix=".put-", dir=target.parent)) / "content"
        try:
            shutil.move(path, staged)
            try:
                staged.rename(target)
            except OSError:
                if not target.exists():  # not a lost race with an equal put
                    raise
                _remove(staged)
        finally:
            shutil.rmtree(staged.parent, ignore_errors=True)  # must not hide why it is not empty
        _sync_folder(target.parent)
        return digest

    def path(self, digest: str) -> Path:
        """The read-only file or folder with that digest. Raises MissingArtifact."""
        place = self._place(digest)
        if not place.exists():
            raise MissingArtifact(
                f"artifact {digest} is not in the store at {self.root}",
                code="artifact-missing",
                hint="run the spec again: the step that makes it will be carried out",
            )
        return place

    def has(self, digest: str) -> bool:
        return self._place(digest).exists()

    def is_sound(self, digest: str) -> bool:
        """True when the artifact is there and its bytes still have its digest. Reads all of it."""
        place = self._place(digest)
        return place.exists() and digest_of(place) == digest

    def drop(self, digest: str) -> None:
        """Takes a damaged artifact out of the store, so that the step that makes it can put it back."""
        place = self._place(digest)
        if place.exists():
            _remove(place)

    def _place(self, digest: str) -> Path:
        kind, _, name = digest.partition(":")
        if kind != "sha256" or len(name) != 64 or not all(c in "0123456789abcdef" for c in name):
            raise MissingArtifact(f"not a digest: {digest[:80]!r}", code="artifact-missing")
        return self._objects / name[:2] / name[2:]


def digest_of(path: Path) -> str:
    """``sha256:…`` of a file's bytes, or of the sorted list of a folder's relative names and file digests."""
    if not path.is_dir():
        return f"sha256:{_file_digest(path)}"
    listing = hashlib.sha256(b"folder\n")
    for file in sorted(p for p in path.rglob("*") if not p.is_dir()):
        listing.update(f"{file.relative_to(path).as_posix()}\0{_file_digest(file)}\n".encode())
    return f"sha256:{listing.hexdigest()}"


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _settle(path: Path) -> None:
    """Makes every file durable and read-only before it gets its name."""
    files = [path] if not path.is_dir() else [p for p in path.rglob("*") if p.is_file()]
    for file in files:
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
        file.chmod(0o444)


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
