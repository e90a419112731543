"""Resolve and open the paths in specs safely.

In: a workspace, allowed folders, the text of a path. Out: the type of the path's target, or the file. Links are
followed before the decision. A file is opened component by component without following links, so that a link that is
inserted between check and opening is refused, not followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from e2i.errors import Refused, StepError

Found = Literal["file", "directory", "special", "missing", "outside", "hidden", "settings"]


class Roots(Struct, frozen=True):
    """The workspace, and the folders that paths may lead into: relative to it, or absolute."""

    workspace: Path
    folders: tuple[str, ...] = (".",)
    hidden: bool = True
    """Whether a path may lead through a name that starts with a dot, directly or through a link."""
    written: tuple[str, ...] = (".",)
    """The folders that files may be written to."""
    operator: tuple[str, ...] = ()
    """Files of the operator: log, metrics, scripts of hooks. Specs neither read nor change them, nor files beside them
    whose name continues theirs, such as ``run.log.1``.
    """

    def find(self, text: str) -> tuple[Path, Path] | None:
        """Returns the folder that the path leads into, and the path, both without links; None when it leads elsewhere.

        Raises OSError when the path cannot be followed.
        """
        try:
            path = (self.workspace / text).resolve()
        except RuntimeError as error:  # Python before 3.13 raises it for a loop of links
            raise OSError(errno.ELOOP, "the links lead in a loop") from error
        for folder in self.folders:
            root = (self.workspace / folder).resolve()
            if path.is_relative_to(root):
                return root, path
        return None

    def is_settings(self, path: Path) -> bool:
        """Returns whether a path without links is a file of the operator, which specs must not read or change: a
        settings or policy file, or one that the settings name.
        """
        if path.suffix.lower() in (".yaml", ".yml") and path.parent == (self.workspace / "config").resolve():
            return True
        named = [(self.workspace / name).resolve() for name in self.operator]
        return any(path == own or (path.parent == own.parent and path.name.startswith(f"{own.name}.")) for own in named)


def look(roots: Roots, text: str) -> Found:
    """Returns the type of the path's target, links followed."""
    try:
        found = roots.find(text)
        if found is None:
            return "outside"
        if not roots.hidden and _hidden(found):
            return "hidden"
        if roots.is_settings(found[1]):
            return "settings"
        mode = found[1].stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except OSError:  # a loop of links, a name too long, a folder that must not be entered
        return "special"
    return "file" if stat.S_ISREG(mode) else "directory" if stat.S_ISDIR(mode) else "special"


MANIFEST = "manifest.json"
"""A folder that has it consists of the files that it lists: the version that was written last."""
LARGEST_MANIFEST = 16 << 20
MOST_FILES = 10_000
"""Files that one path may name."""


def matching(roots: Roots, text: str) -> tuple[str, ...]:
    """Returns the sorted paths of the files below a folder, or that match a pattern; the path itself if it is neither.

    Names that start with a dot or an underscore are left out: they are not data. So are the operator's settings, of
    which a plan would show digests. Links to folders are not followed. Raises Refused for a path that leads outside.
    """
    start, pattern = _split(text)
    if pattern and look(roots, text) == "file":  # its name has a bracket
        return (text,)
    path = resolve(roots, start)
    if not path.is_dir():
        return (text,)
    if not pattern and (listed := _listed(roots, start.rstrip("/"), path)):
        return listed
    found: list[str] = []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        for name in names:
            inner = (Path(folder) / name).relative_to(path)
            if (
                not name.startswith((".", "_"))
                and not _is_settings(roots, Path(folder) / name)
                and (not pattern or (inner.match(pattern) and _depth_fits(inner, pattern)))
            ):
                if len(found) == MOST_FILES:
                    raise Refused(f"{text} names more than {MOST_FILES:,} files", code="too-many-files")
                found.append(f"{start.rstrip('/')}/{inner.as_posix()}" if start not in ("", ".") else inner.as_posix())
    return tuple(sorted(found)) or (text,)


def _is_settings(roots: Roots, path: Path) -> bool:
    may_be = bool(roots.operator) or path.suffix.lower() in (".yaml", ".yml")  # few are, and asking takes time
    return may_be and roots.is_settings(path)


def _listed(roots: Roots, folder: str, path: Path) -> tuple[str, ...]:
    """Returns the files that the manifest of ``data.write`` lists; none for a folder without one."""
    if not (path / MANIFEST).is_file():
        return ()
    try:
        files = msgspec.json.decode(read(roots, f"{folder}/{MANIFEST}", LARGEST_MANIFEST), type=_Manifest).files
    except msgspec.DecodeError:  # a file of another program
        return ()
    return tuple(f"{folder}/{name}" for name in sorted(files))


class _Manifest(Struct):
    """The manifest of a folder, as far as it matters here."""

    schema_version: Literal[1]
    partition_by: list[str]
    files: dict[str, msgspec.Raw]


def _split(text: str) -> tuple[str, str]:
    """Returns the folder above the first component with a wildcard, and the pattern from there on; "" if none has."""
    parts = text.split("/")
    index = next((index for index, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    return ("/".join(parts[:index]) or ".") if index < len(parts) else text, "/".join(parts[index:])


def _depth_fits(path: Path, pattern: str) -> bool:
    """Returns whether a path is as deep as a pattern: ``*`` stands for one component."""
    return len(path.parts) == len(pattern.split("/"))


def resolve(roots: Roots, text: str) -> Path:
    """Returns the path with links followed. Raises Refused when it leads outside the roots."""
    if not text or "\0" in text or "://" in text:
        raise Refused(f"not a path: {text!r}", code="bad-path", hint="use a path relative to the workspace")
    try:
        found = roots.find(text)
    except OSError as error:
        raise Refused(f"the path {text!r} cannot be followed: {error.strerror}", code="bad-path") from error
    if found is None:
        raise Refused(
            f"the path {text!r} leads outside {_names(roots.folders)}",
            code="policy-path",
            hint="move the file into the workspace",
        )
    if not roots.hidden and (name := _hidden(found)):
        raise Refused(f"the path {text!r} leads through {name!r}, a hidden name", code="policy-path")
    if roots.is_settings(found[1]):
        raise Refused(f"the path {text!r} leads to a file of the operator's settings", code="policy-path")
    return found[1]


def _hidden(found: tuple[Path, Path]) -> str | None:
    """Returns the first name inside the folder that starts with a dot."""
    root, path = found
    return next((name for name in path.relative_to(root).parts if name.startswith(".")), None)


def open_file(roots: Roots, text: str) -> int:
    """Returns a descriptor of the regular file, for reading. Raises Refused when the path leads elsewhere, StepError
    when there is no such file.
    """
    path = resolve(roots, text)
    root = next(root for folder in roots.folders if path.is_relative_to(root := (roots.workspace / folder).resolve()))
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        *parents, name = path.relative_to(root).parts or (".",)
        for parent in parents:
            inner = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = inner
        # Without O_NONBLOCK, opening a named pipe would wait for a writer.
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Refused(f"the path {text!r} changed while it was opened", code="policy-path") from error
        raise StepError(f"{text} cannot be opened: {error.strerror}", code="no-such-file") from error
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise StepError(f"{text} is not a regular file", code="bad-path", hint="use the path of a file with data")
    return file


def place(roots: Roots, text: str, content: Path) -> None:
    """Copies a finished file to the path: whole, or not at all, also when the machine stops. Folders are made.

    Raises Refused when the path leads elsewhere than to a file that may be written, StepError when that fails.
    """
    import shutil  # with compression, which a plan does not need

    to = msgspec.structs.replace(roots, folders=roots.written, hidden=False)
    path = resolve(to, text)
    root = next(root for folder in to.folders if path.is_relative_to(root := (to.workspace / folder).resolve()))
    *parents, name = path.relative_to(root).parts or (".",)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    temporary = f".{name}.{secrets.token_hex(8)}.tmp"
    try:
        for parent in parents:
            with contextlib.suppress(FileExistsError):
                os.mkdir(parent, dir_fd=folder)
            inner = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = inner
        made = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666, dir_fd=folder)
        try:
            with os.fdopen(made, "wb") as target, content.open("rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                os.fsync(target.fileno())
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
        os.fsync(folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Refused(f"the path {text!r} changed while it was written", code="policy-path") from error
        raise StepError(f"{text} cannot be written: {error.strerror}", code="cannot-write") from error
    finally:
        os.close(folder)


def written(roots: Roots, text: str) -> bytes | None:
    """Returns the content of a file that may be written; None when there is none. Raises StepError for a large one."""
    to = msgspec.structs.replace(roots, folders=roots.written, hidden=False)
    return None if look(to, text) == "missing" else read(to, text, LARGEST_MANIFEST)


def digest(roots: Roots, text: str) -> str | None:
    """Returns the SHA-256 of a file that may be written, as ``sha256:…``; None when there is none."""
    to = msgspec.structs.replace(roots, folders=roots.written, hidden=False)
    if look(to, text) == "missing":
        return None
    with os.fdopen(open_file(to, text), "rb") as file:
        import hashlib  # with OpenSSL, which most checks do not need

        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def read(roots: Roots, text: str, most: int) -> bytes:
    """Returns the bytes of a regular file. Raises as ``open_file`` does, and StepError for more than ``most`` bytes."""
    with os.fdopen(open_file(roots, text), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise StepError(f"{text} has more than {most:,} bytes", code="file-too-large")
    return content


def _names(folders: Sequence[str]) -> str:
    return "the workspace" if tuple(folders) == (".",) else "the folders " + ", ".join(folders)
