"""A folder goes in; what git says of the repository that it lies in comes out: commit, branch, what differs from it.

Git is asked in the background, so that nobody waits for it, and only where there is a repository. It writes nothing
and starts no program that the repository names.
"""

from __future__ import annotations

import os
import re
import select
import signal
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

DEADLINE = 5.0
"""Seconds that git is given, from the question on."""
HELD = 1 << 20
"""Bytes that a pipe may hold: more than these are not from before the deadline."""
MOST = 20
"""Changed files that are named."""
COMMAND = ("git", "-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch", "--untracked-files=no", "-z")


class Question:
    """What git was asked about a folder. Leaving its context ends git, if it still runs.

    Not ``subprocess``: its import alone takes longer than all of this.
    """

    def __init__(self, folder: Path) -> None:
        self._since = time.monotonic()
        self._root = _root(folder)
        self._git: int | None = None
        if self._root is not None:
            self._pipe, theirs = os.pipe()
            try:
                self._git = _start(self._root, theirs)
            except OSError:  # there is no git here
                os.close(self._pipe)
            finally:
                os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._git is not None:
            os.close(self._pipe)
            os.kill(self._git, signal.SIGKILL)
            os.waitpid(self._git, 0)
            self._git = None

    def answer(self, file: str = "") -> dict[str, Any] | None:
        """``commit``, ``branch``, ``remote``, ``dirty``, the first ``changed`` files and how many there are; ``path``:
        where ``file`` lies in the repository. None without git or a repository.

        ``dirty`` is about tracked files. When git does not answer, ``problem`` says so and the others are missing.
        """
        if self._git is None or self._root is None:
            return None
        text = self._read()
        self.__exit__(None, None, None)
        if text is None:
            return {"problem": f"git did not answer within {DEADLINE:g} s"}
        if not text.startswith("# branch."):
            return {"problem": "git does not want to say anything about this repository"}
        said = parse(text)
        path = Path(os.path.abspath(file))  # noqa: PTH100 - a link is where it is, not where it leads
        inside = path.relative_to(self._root).as_posix() if file and path.is_relative_to(self._root) else None
        return {**said, "remote": _remote(self._root), "path": inside}

    def _read(self) -> str | None:
        """All that git prints; None when that takes too long. What it has printed by now counts, however late it is."""
        read = bytearray()
        late = 0
        while late < HELD and select.select([self._pipe], [], [], max(0.0, left := self._left()))[0]:
            piece = os.read(self._pipe, 1 << 16)
            if not piece:
                return read.decode("utf-8", "replace")
            read += piece
            late += len(piece) if left <= 0 else 0
        return None

    def _left(self) -> float:
        return self._since + DEADLINE - time.monotonic()


def parse(text: str) -> dict[str, Any]:
    """What ``git status --porcelain=v2 --branch -z`` says, as data."""
    headers: dict[str, str] = {}
    changed: list[str] = []
    lines = iter(text.split("\0"))
    for line in lines:
        if line.startswith("# "):
            name, _, value = line[2:].partition(" ")
            headers[name] = value
        elif line.startswith(("1 ", "2 ", "u ")):
            fields = {"1": 8, "2": 9, "u": 10}[line[0]]
            changed.append(line.split(" ", fields)[fields])
            if line[0] == "2":
                next(lines, None)  # where it was renamed from
    commit, branch = headers.get("branch.oid"), headers.get("branch.head")
    return {
        "commit": None if commit == "(initial)" else commit,
        "branch": None if branch == "(detached)" else branch,
        "dirty": bool(changed),
        "changed": sorted(changed)[:MOST],
        "changed_files": len(changed),
    }


def public(url: str) -> str | None:
    """The address of a remote without user, password and query; None for a folder of this machine."""
    if (short := re.fullmatch(r"(?:[^@/\s]+@)?(?P<host>[\w.-]+):(?!/)(?P<path>\S+)", url)) is not None:
        return f"ssh://{short['host']}/{short['path']}"
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    if parts.scheme not in ("http", "https", "ssh", "git") or not parts.hostname:
        return None
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _root(folder: Path) -> Path | None:
    """The top folder of the repository, as git itself looks for it."""
    return next((above for above in (folder, *folder.parents) if (above / ".git").exists()), None)


def _start(root: Path, output: int) -> int:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = (COMMAND[0], "-C", str(root), *COMMAND[1:])
    return os.posix_spawnp(
        command[0],
        command,
        {**environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
        setsigdef=(signal.SIGINT, signal.SIGTERM),
    )


def _remote(root: Path) -> str | None:
    """The public address of the remote that is called origin, as the repository's own configuration has it."""
    folder = root / ".git"
    try:
        if folder.is_file():  # a worktree, or a submodule
            folder = root / folder.read_text("utf-8").removeprefix("gitdir:").strip()
        if (shared := folder / "commondir").is_file():
            folder = folder / shared.read_text("utf-8").strip()
        text = (folder / "config").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    section = re.search(r'^\[remote "origin"\]\s*$(?P<lines>.*?)(?=^\s*\[|\Z)', text, re.MULTILINE | re.DOTALL)
    url = re.search(r"^\s*url\s*=\s*(?P<url>\S+)\s*$", section["lines"], re.MULTILINE) if section else None
    return public(url["url"]) if url else None
