"""Problems of a text: the one type that every check returns and every command prints.

In: facts about an error. Out: ``Problem``, sortable by location, serialisable as JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from e2i.documents import Element, JsonDocument, JsonObject, Pointer, plain
from e2i.spec.operations import Operation

MOST = 1_000
"""Limit on the problems listed: nobody reads more, and each takes time and memory."""
Severity = Literal["error", "warning"]
Fixes = tuple[Operation, ...]


class Location(Struct, frozen=True):
    """A position in a file: ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


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

    def __str__(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        return f"{self.location}: {self.message} [{self.code}]{hint}"

    @property
    def is_policy(self) -> bool:
        """True when the operator's policy forbids it: the spec itself has no error."""
        return self.code.startswith("policy-")

    @property
    def sort_key(self) -> tuple[str, int, int, str, str]:
        return (self.location.file, self.location.line, self.location.column, self.code, self.message)

    @property
    def document(self) -> ProblemDocument:
        """The problem as printed."""
        return ProblemDocument(
            code=self.code,
            severity=self.severity,
            message=self.message,
            file=self.location.file,
            line=self.location.line,
            column=self.location.column,
            path=self.path,
            hint=self.hint,
            fixes=list(self.fixes),
        )

    def to_json(self) -> JsonObject:
        return plain(self.document)


class ProblemDocument(Element, frozen=True, kw_only=True):
    """A problem of a spec, with its location."""

    code: Annotated[str, Meta(pattern="^[a-z][a-z0-9-]*$", description="Problem code, for `e2i explain CODE`.")]
    severity: Annotated[Severity, Meta(description="A spec with warnings only is valid.")]
    message: Annotated[str, Meta(description="Description for people.")]
    file: Annotated[str, Meta(description="Path of the file, as the user typed it.")]
    line: Annotated[int, Meta(ge=1, description="From 1.")]
    column: Annotated[int, Meta(ge=1, description="From 1, in characters.")]
    path: Pointer
    hint: Annotated[str | None, Meta(description="What to do about it.")]
    fixes: Annotated[list[Operation], Meta(description="Safe fixes; empty when there is none.")]


class ProblemsDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i validate --json`, and of every command with an invalid spec."""

    valid: Annotated[bool, Meta(description="True when no problem is an error.")]
    problems: Annotated[list[ProblemDocument], Meta(description="All problems, sorted by location.")]

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> ProblemsDocument:
        valid = all(problem.severity != "error" for problem in problems)
        return cls(valid=valid, problems=[problem.document for problem in problems])


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
