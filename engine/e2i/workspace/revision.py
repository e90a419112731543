"""Read the workspace at a git revision.

In: ``REV:PATH``. Out: the bytes of files in that revision. Nothing is checked out or written, and no program that the
repository configures is run (``e2i.workspace.git``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from e2i.errors import BadInput
from e2i.workspace.git import Repository
from e2i.workspace.paths import Found

DEADLINE = 30.0
"""Seconds for an answer of git."""
MOST = 64 << 20
"""Maximum bytes of a file, or of a list of files: no spec may be larger."""
MOST_TOGETHER = 1 << 28
"""Maximum bytes of all files of a revision together."""
KINDS: dict[str, Found] = {"100644": "file", "100755": "file", "040000": "directory"}
"""File types by git's modes; all other modes are links or submodules."""


class Revision(Struct, frozen=True):
    """The files below ``folder`` in a revision; an empty ``name`` is the index. Implements ``Files``.

    Each method raises BadInput when git does not answer. Links are not followed.
    """

    folder: Path
    name: str

    def read(self, path: str) -> bytes:
        """Returns the file's bytes. Raises BadInput when the revision, or the file in it, does not exist."""
        found, why = self._git("cat-file", "blob", f"{self.name}:./{path}")
        if found is None:
            raise self._unknown(path, why)
        return found

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yields path and bytes of each regular file below ``folder``. Raises BadInput for an unknown revision."""
        found, why = self._git("ls-tree", "-r", "-z", "--end-of-options", self.name)
        if found is None:
            raise self._unknown("", why)
        entries = [line.partition("\t") for line in found.decode(errors="surrogateescape").split("\0") if line]
        objects = [(facts.split(" ")[2], path) for facts, _, path in entries if KINDS.get(facts[:6]) == "file"]
        asked = "".join(f"{name}\n" for name, _ in objects).encode()
        content, why = self._git("cat-file", "--batch", most=MOST_TOGETHER, given=asked)
        if content is None:
            raise self._unknown("", why)
        at = 0
        for name, path in objects:
            line = content.index(b"\n", at)
            head, size = content[at:line].decode().rpartition(" ")[::2]
            if head != f"{name} blob":
                raise self._unknown(path, "the object is missing")
            at = line + 1 + int(size) + 1
            yield path, content[line + 1 : at - 1]

    def open(self, path: str) -> BinaryIO | None:
        return BytesIO(self.read(path)) if self.look(path) == "file" else None

    def matching(self, path: str) -> Sequence[str]:
        return (path,)

    def names(self, folder: str) -> Sequence[str]:
        inside = "" if folder in ("", ".") else f"{folder.rstrip('/')}/"
        found = [name.removeprefix(inside) for mode, name in self._listed(inside or ".") if mode in KINDS]
        return sorted(name for name in found if "/" not in name)

    def configured(self, tool: str, setting: str) -> None:
        return None  # the settings are not those of the revision

    def configured_names(self, tool: str, setting: str) -> None:
        return None

    def glob(self, pattern: str) -> None:
        return None  # a revision is only read for specs

    def look(self, path: str) -> Found:
        """Returns the type of what is at a path."""
        mode = next((mode for mode, name in self._listed(path) if name == path), None)
        return "missing" if mode is None else KINDS.get(mode, "special")

    def _listed(self, path: str) -> list[tuple[str, str]]:
        """Returns modes and names, relative to ``folder``, of what is at a path."""
        command = ("ls-tree", "-z", self.name, "--", path) if self.name else ("ls-files", "-sz", "--", path)
        found, _ = self._git(*command)
        if found is None:
            return []
        entries = (line.partition("\t") for line in found.decode(errors="replace").split("\0") if line)
        return [(facts.partition(" ")[0], name) for facts, _, name in entries]

    def _git(self, *arguments: str, most: int | None = None, given: bytes = b"") -> tuple[bytes | None, str]:
        """Returns git's output of at most ``most`` (default: ``MOST``) bytes, or None and the reason.

        ``given`` is its input. Raises BadInput when git does not answer.
        """
        most = MOST if most is None else most
        if self.name.startswith("-"):
            raise self._unknown("", "a revision cannot begin with a hyphen")
        until = time.monotonic() + DEADLINE
        try:
            with ExitStack() as stack:
                if (repository := Repository.around(self.folder)) is None:
                    raise self._unavailable("this is not a repository, or git is not installed")
                stack.enter_context(repository)
                git = stack.enter_context(repository.start(*arguments, until=until, folder=self.folder, given=given))
                if (found := git.read(most)) is None:
                    raise self._unavailable(f"the answer takes more than {DEADLINE:g} s or {most >> 20} MB")
                return (found, "") if git.code() == 0 else (None, repository.errors())
        except OSError as error:
            raise self._unavailable(str(error.strerror or error)) from error

    def _unavailable(self, why: str) -> BadInput:
        return BadInput(f"cannot read git revision {self.name!r}: {why}", code="no-such-revision")

    def _unknown(self, path: str, why: str) -> BadInput:
        whole, hint = f"{self.name}:{path}", "write REVISION:PATH, such as HEAD~1:specs/x.yaml"
        if not path:
            whole, hint = self.name, "name a commit, branch or tag; `git log --oneline` lists commits"
        return BadInput(f"git has no {whole!r}: {why}", code="no-such-revision", hint=hint)
