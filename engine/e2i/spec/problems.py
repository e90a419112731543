"""What is wrong with a text and where: the one type that every check returns and every command prints.

In: facts about a fault. Out: ``Problem``, sortable by place, JSON-able.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct, field

MOST = 1_000
"""Problems that are listed: more than anybody reads, and each takes time and memory."""
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


class Problem(Struct, frozen=True):
    """One fault: what (``code``, ``message``), where (``location``, pointer ``path``), the mend (``hint``, ``fixes``).

    ``fixes`` are RFC 6902 operations; they are present only when the mend is certain.
    """

    code: str
    message: str
    location: Location
    path: str
    hint: str | None = None
    severity: Severity = "error"
    fixes: Fixes = field(default=())

    def __str__(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        return f"{self.location}: {self.message} [{self.code}]{hint}"

    @property
    def is_policy(self) -> bool:
        """Whether the operator's policy is what stands in the way: nothing is wrong with the spec itself."""
        return self.code.startswith("policy-")

    @property
    def sort_key(self) -> tuple[str, int, int, str, str]:
        return (self.location.file, self.location.line, self.location.column, self.code, self.message)

    def to_json(self) -> dict[str, Any]:
        """The PROBLEM document of the contract."""
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
        }


def pointer(path: tuple[str | int, ...]) -> str:
    """A path of keys as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)


def most(problems: Sequence[Problem]) -> list[Problem]:
    """The problems by place, or as many as are listed, errors first, and how many more there are at least."""
    if len(problems) <= MOST:
        return sorted(problems, key=lambda problem: problem.sort_key)
    # What is left out must not change the verdict: errors of the spec, then what the policy refuses, then warnings.
    ranked = sorted(problems, key=lambda one: (one.severity != "error", one.is_policy, one.sort_key))
    listed = sorted(ranked[:MOST], key=lambda problem: problem.sort_key)
    message = f"there are more problems than the {MOST:,} that are listed"
    last = listed[-1]
    return [*listed, Problem("too-many-problems", message, last.location, last.path, "fix these first", "warning")]
