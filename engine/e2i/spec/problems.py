"""Problems of a text: the one type that every check returns and every command prints, and the explanation of a code.

In: facts about an error. Out: ``Problem``, sortable by location, serialisable as JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import asdict

MOST = 1_000
"""Limit on the problems listed: nobody reads more, and each takes time and memory."""
Severity = Literal["error", "warning"]
Fixes = tuple[dict[str, Any], ...]
"""RFC 6902 operations."""


class Location(Struct, frozen=True):
    """A position in a file: ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class TextEdit(Struct, frozen=True):
    """A replacement of the text from a line and column up to another. It fixes a text that cannot be read as data."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


class Problem(Struct, frozen=True):
    """One error: what (``code``, ``message``), where (``location``, pointer ``path``), how to fix it (``hint``,
    ``fixes``).

    ``fixes`` are RFC 6902 operations. They are present only when the fix is safe.
    """

    code: str
    message: str
    location: Location
    path: str
    hint: str | None = None
    severity: Severity = "error"
    fixes: Fixes = field(default=())
    edit: TextEdit | None = None
    """The safe fix of a text that cannot be read, which has no paths for ``fixes``."""

    def __str__(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        return f"{self.location}: {self.message} [{self.code}]{hint}"

    @property
    def fixable(self) -> bool:
        """True when `e2i fix` can fix it."""
        return bool(self.fixes) or self.edit is not None

    @property
    def is_policy(self) -> bool:
        """True when the operator's policy forbids it: the spec itself has no error."""
        return self.code.startswith("policy-")

    @property
    def sort_key(self) -> tuple[str, int, int, str, str]:
        return (self.location.file, self.location.line, self.location.column, self.code, self.message)

    def to_json(self) -> dict[str, Any]:
        """Returns the PROBLEM document of the contract."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "file": self.location.file,
            "line": self.location.line,
            "column": self.location.column,
            "path": self.path,
            "hint": self.hint,
            "fixes": list(self.fixes),
            "fixable": self.fixable,
            "edit": self.edit and asdict(self.edit),
        }


class Code(Struct, frozen=True):
    """One type of problem or error. ``why`` explains what it means, ``fix`` what to do.

    The spec ``bad`` has the problem. ``good`` is the same spec without it. Both are complete except for ``version`` and
    ``name``, which are left out unless the problem is in them. Where no spec can show the problem, ``example``
    describes how it arises.
    """

    code: str
    title: str
    why: str
    fix: str
    bad: str = ""
    good: str = ""
    example: str = ""


def pointer(path: tuple[str | int, ...]) -> str:
    """Returns a path of keys as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)


def most(problems: Sequence[Problem]) -> list[Problem]:
    """Returns the problems by location, up to the limit, errors first, with the number of problems left out."""
    if len(problems) <= MOST:
        return sorted(problems, key=lambda problem: problem.sort_key)
    # Problems left out must not change the verdict: first errors of the spec, then policy problems, then warnings.
    ranked = sorted(problems, key=lambda one: (one.severity != "error", one.is_policy, one.sort_key))
    listed = sorted(ranked[:MOST], key=lambda problem: problem.sort_key)
    message = f"there are more problems than the {MOST:,} that are listed"
    last = listed[-1]
    return [*listed, Problem("too-many-problems", message, last.location, last.path, "fix these first", "warning")]


CODES = (
    Code(
        "too-many-problems",
        "More problems than are listed",
        "At most 1,000 problems are listed, errors first. Many have one cause, and each takes time and memory.",
        "Fix the listed problems (`e2i fix` applies the safe fixes), then validate again.",
        example="a spec of 2,000 steps whose action is misspelt",
    ),
)
