"""Describe the git repository of a folder: commit, branch, changed files.

In: a folder. Out: a description. Git runs in the background, so that nobody waits for it, and only where there is a
repository. It writes nothing and starts no program that the repository configures (``e2i.workspace.git``).
"""

from __future__ import annotations

import os
import re
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from msgspec.structs import replace

from e2i.store.past import GitState
from e2i.workspace.git import Asking, Repository

DEADLINE = 5.0
"""Seconds for git's answer, from the question on."""
MOST = 20
"""Maximum number of changed files that are named."""
EXAMINED = 1000
"""Maximum number of changed files whose attributes are read."""
STATUS = ("status", "--porcelain=v2", "--branch", "--untracked-files=no", "--ignore-submodules=dirty", "-z")


class Question:
    """A question to git about a folder. Leaving the context ends git, if it still runs.

    Not ``subprocess``: its import alone takes longer than all of this.
    """

    def __init__(self, folder: Path) -> None:
        self._until = time.monotonic() + DEADLINE
        self._stack = ExitStack()
        self._repository: Repository | None = None
        self._git: Asking | None = None
        self._problem = ""
        try:
            if (found := Repository.around(folder)) is not None:
                self._repository = self._stack.enter_context(found)
                self._git = self._stack.enter_context(found.start(*STATUS, until=self._until))
        except OSError as error:
            self._stack.close()
            self._problem = f"git cannot be run: {error.strerror or error}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def answer(self, file: str = "") -> GitState | None:
        """Returns the state of the repository, with the path of ``file`` in it. None without git or a repository.

        When git does not answer, ``problem`` has the reason and the others are missing.
        """
        with self._stack:
            if self._problem:
                return GitState(problem=self._problem)
            if self._git is None or self._repository is None:
                return None
            return self._answer(self._git, self._repository, file)

    def _answer(self, git: Asking, repository: Repository, file: str) -> GitState:
        if (read := git.read()) is None:
            return GitState(problem=f"git did not answer within {DEADLINE:g} s")
        text = read.decode("utf-8", "replace")
        if not text.startswith("# branch."):
            return GitState(problem="git cannot read this repository")
        answer = parse(text)
        unsure = bool(answer.dirty) and self._is_uncertain(repository, text)
        path, root = Path(os.path.abspath(file)), repository.root  # noqa: PTH100 - links are not followed
        inside = path.relative_to(root).as_posix() if file and path.is_relative_to(root) else None
        remote = repository.setting("remote origin", "url")
        return replace(
            answer, dirty=None if unsure else answer.dirty, remote=public(remote) if remote else None, path=inside
        )

    def _is_uncertain(self, repository: Repository, text: str) -> bool:
        """Returns whether only filter programs could compare the changed files with git's content."""
        edited = [name for states, name in _changes(text) if states == ".M"]
        if len(edited) < len(_changes(text)):
            return False
        names = edited[:EXAMINED]
        with repository.start("check-attr", "-z", "filter", "--", *names, until=self._until) as git:
            read = git.read()
        if read is None:
            return True
        values = read.decode("utf-8", "replace").split("\0")[2::3]
        return len(values) == len(names) and all(value not in ("unspecified", "unset") for value in values)


def parse(text: str) -> GitState:
    """Returns the state that ``git status --porcelain=v2 --branch -z`` prints."""
    headers = dict(line[2:].partition(" ")[::2] for line in text.split("\0") if line.startswith("# "))
    changed = [name for _, name in _changes(text)]
    commit, branch = headers.get("branch.oid"), headers.get("branch.head")
    return GitState(
        commit=None if commit == "(initial)" else commit,
        branch=None if branch == "(detached)" else branch,
        dirty=bool(changed),
        changed=tuple(sorted(changed)[:MOST]),
        changed_files=len(changed),
    )


def public(url: str) -> str | None:
    """Returns the address of a remote without user, password and query; None for a folder of this machine."""
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


def _changes(text: str) -> list[tuple[str, str]]:
    """Returns the staged and edited states, as two letters, and the name, of each changed file."""
    found = []
    lines = iter(text.split("\0"))
    for line in lines:
        if line.startswith(("1 ", "2 ", "u ")):
            fields = {"1": 8, "2": 9, "u": 10}[line[0]]
            found.append((line[2:4], line.split(" ", fields)[fields]))
            if line[0] == "2":
                next(lines, None)  # the previous name
    return found
