"""Compute digests and signatures of files and folders.

The digest depends on all bytes, and needs to read them. The signature depends on file system metadata. It needs one
look at each file, and every write changes it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path


def digest_of(path: Path) -> str:
    """Returns ``sha256:…`` of a file's bytes, or of the sorted list of a folder's relative names and file digests."""
    if not path.is_dir():
        return f"sha256:{_file_digest(path)}"
    return folder_digest(files_of(path))


def folder_digest(files: Iterable[tuple[str, str]]) -> str:
    """Returns the digest of a folder from relative names and SHA-256 (hexadecimal) of its files, ordered by path."""
    listing = hashlib.sha256(b"folder\n")
    for name, digest in files:
        listing.update(os.fsencode(name) + f"\0{digest}\n".encode())
    return f"sha256:{listing.hexdigest()}"


def files_of(path: Path) -> list[tuple[str, str]]:
    """Returns a folder's files: relative name and SHA-256, ordered by path."""
    return [(name, _file_digest(path / name)) for name in sorted(_names(path), key=_in_order)]


def signature_of(path: str | Path) -> tuple[str, int]:
    """Returns the metadata of the files below a path as text, and the time of the last write (ns).

    Any write to a file changes the signature, because its change time cannot be set. Raises OSError when the path is
    missing.
    """
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        return _signature(found), found.st_mtime_ns
    listing = hashlib.blake2b(digest_size=20)
    youngest = 0
    for name in sorted(_names(Path(path))):
        inside = os.lstat(f"{path}/{name}")
        youngest = max(youngest, inside.st_mtime_ns)
        listing.update(os.fsencode(name) + f"\0{_signature(inside)}\n".encode())
    return listing.hexdigest(), youngest


def _signature(found: os.stat_result) -> str:
    return f"{found.st_mode & 0o170000:o}-{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}-{found.st_ino}"


def _names(folder: Path) -> Iterator[str]:
    """Yields the relative names of the files below a folder; links to folders are not followed."""
    top = os.fspath(folder)
    for at, _, names in os.walk(top, onerror=_raise):
        inside = os.path.relpath(at, top)
        yield from names if inside == "." else (f"{inside}/{name}" for name in names)


def _in_order(name: str) -> list[str]:
    """Returns the sort key of a path: its components, so that the files of a folder are adjacent."""
    return name.split("/")


def _raise(error: OSError) -> None:
    raise error


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
