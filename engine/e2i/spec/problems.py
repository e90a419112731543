"""Problems of a text: the one type that every check returns and every command prints, and the explanation of a code.

In: facts about an error. Out: ``Problem``, sortable by location, serialisable as JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from e2i.documents import Documented, Element, JsonDocument, Pointer
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


class TextEdit(Element, frozen=True):
    """A replacement of a part of the file's text, up to but not including the character at the end."""

    line: Annotated[int, Meta(ge=1, description="Start, from 1.")]
    column: Annotated[int, Meta(ge=1, description="Start, from 1, in characters.")]
    end_line: Annotated[int, Meta(ge=1, description="End, from 1.")]
    end_column: Annotated[int, Meta(ge=1, description="End, from 1, in characters.")]
    text: Annotated[str, Meta(description="The new text.")]


class Problem(Documented, frozen=True):
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
            fixable=self.fixable,
            edit=self.edit,
        )


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
    fixable: Annotated[bool, Meta(description="True when `e2i fix` can fix it: by `fixes`, or by `edit`.")]
    edit: Annotated[
        TextEdit | None,
        Meta(description="Safe fix of a text that cannot be read as YAML and has no paths for `fixes`."),
    ]


class ProblemsDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i validate --json`, and of every command with an invalid spec."""

    valid: Annotated[bool, Meta(description="True when no problem is an error.")]
    problems: Annotated[list[ProblemDocument], Meta(description="All problems, sorted by location.")]

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> ProblemsDocument:
        valid = all(problem.severity != "error" for problem in problems)
        return cls(valid=valid, problems=[problem.document for problem in problems])


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
