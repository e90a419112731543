"""Applies all safe fixes to the text of a spec. In: the text. Out: the new text, the fixed and the remaining problems.

Problems carry their fixes as RFC 6902 operations, each for the file that the problem is in: the spec, or an included
spec. A text that cannot be read has no paths to operate on. For that case, a few fixes of the text itself are known
(``spec.text_fix``). Comments and layout are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated

from msgspec import Meta, field

from e2i.documents import Documented, JsonDocument
from e2i.spec import document as documents
from e2i.spec import edit, text_fix
from e2i.spec.document import Document
from e2i.spec.operations import Move, Operation
from e2i.spec.problems import Problem, ProblemDocument

MAX_ROUNDS = 1_000
MAX_PASSES = 20
"""Limit on the rounds over all files. It also ends fixes of two files that undo each other."""
MOST_CHECKED = 400_000
"""Limit on the characters checked in all rounds: a check takes as long as the text. The next ``e2i fix`` resumes."""


class FixedDocument(JsonDocument, frozen=True, kw_only=True):
    """The result of fixing a spec."""

    valid: Annotated[bool, Meta(description="True when no remaining problem is an error.")]
    applied: Annotated[list[ProblemDocument], Meta(description="The fixed problems, in this order.")]
    problems: Annotated[list[ProblemDocument], Meta(description="The remaining problems.")]
    text: Annotated[str, Meta(description="The text of the spec after the fixes.")]
    included: Annotated[dict[str, str], Meta(description="New texts of included specs, by name.")]


class Fixed(Documented, frozen=True):
    """The result: ``text`` with the fixes of ``applied``, in that order, and the ``remaining`` problems."""

    text: str
    applied: tuple[Problem, ...]
    remaining: tuple[Problem, ...]
    included: Mapping[str, str] = field(default_factory=dict)
    """The new texts of the included specs that were fixed too, by name."""

    @property
    def valid(self) -> bool:
        return all(problem.severity != "error" for problem in self.remaining)

    @property
    def document(self) -> FixedDocument:
        """The result as data."""
        return FixedDocument(
            valid=self.valid,
            applied=[problem.document for problem in self.applied],
            problems=[problem.document for problem in self.remaining],
            text=self.text,
            included=dict(sorted(self.included.items())),
        )


def fix_all(
    text: str,
    file: str,
    open_included: Callable[[str], str | None],
    check: Callable[[Mapping[str, str]], Sequence[Problem]],
    known: Sequence[Problem] | None = None,
) -> Fixed:
    """Applies every safe fix to a spec and to the specs that it includes.

    A fix in one file may uncover a problem in another. ``open_included`` returns the text of an included spec, or None
    when it must not be changed. ``check`` returns the problems of the spec ``file`` when files hold these texts.
    ``known`` are the problems of the spec as it is, if they were determined already.
    """
    texts = {file: text}
    before: dict[str, str | None] = {}
    checking = _Checking(check, texts, known)

    def check_with(name: str, changed: str) -> Sequence[Problem]:
        return checking.problems({**texts, name: changed})

    applied: list[Problem] = []
    problems = checking.problems(texts)
    for _ in range(MAX_PASSES):
        done = len(applied)
        for name in [file, *sorted({problem.location.file for problem in problems} - {file})]:
            if name not in texts:
                before[name] = open_included(name)
            given = texts.get(name, before.get(name))
            if given is None:
                continue
            fixed = fix_text(given, name, partial(check_with, name), lambda: checking.may_continue)
            texts[name], problems = fixed.text, fixed.remaining
            applied += fixed.applied
        if len(applied) == done:
            break
    changed = {name: now for name, now in texts.items() if name != file and now != before[name]}
    return Fixed(texts[file], tuple(applied), problems, changed)


class _Checking:
    """The checks of one run of fixes. Each state of the texts is checked once, and all checks together are limited."""

    def __init__(
        self,
        check: Callable[[Mapping[str, str]], Sequence[Problem]],
        texts: Mapping[str, str],
        known: Sequence[Problem] | None,
    ) -> None:
        self._check = check
        self._seen: Mapping[str, str] = {} if known is None else dict(texts)
        self._found = tuple(known or ())
        self._left = MOST_CHECKED

    @property
    def may_continue(self) -> bool:
        return self._left > 0

    def problems(self, texts: Mapping[str, str]) -> tuple[Problem, ...]:
        """Returns the problems when files have these texts."""
        if texts != self._seen:
            self._left -= sum(map(len, texts.values()))
            self._seen, self._found = dict(texts), tuple(self._check(texts))
        return self._found


def fix_text(
    text: str, file: str, check: Callable[[str], Sequence[Problem]], may_continue: Callable[[], bool] = lambda: True
) -> Fixed:
    """Applies safe fixes until none is left. ``check`` returns the problems of a text with the name ``file``, and may
    return those of other files too. ``may_continue`` is called before each round.

    A problem that a fix uncovers is fixed in the next round. No text occurs twice, so fixes that undo each other end.
    """
    applied: list[Problem] = []
    seen = {text}
    problems = check(text)
    for _ in range(MAX_ROUNDS):
        if not may_continue():
            break
        found, _ = documents.read(text, file)
        here = [problem for problem in problems if problem.location.file == file]
        changed, fixed = _patched(found, here) if found is not None else text_fix.first(text, file, here)
        if not fixed or changed in seen:
            break
        seen.add(changed)
        text = changed
        applied += fixed
        problems = check(text)
    return Fixed(text, tuple(applied), tuple(problems))


def fix_alone(text: str, file: str, problem: Problem) -> str | None:
    """Returns the text after the safe fix of one of its problems; None when it has none that can be applied."""
    found, _ = documents.read(text, file)
    changed, fixed = _applied(found, [problem]) if found is not None else text_fix.first(text, file, [problem])
    return changed if fixed and changed != text else None


def _patched(document: Document, problems: Sequence[Problem]) -> tuple[str, list[Problem]]:
    """Returns the text after the fixes that do not overlap. The others follow in the next round."""
    chosen: list[Problem] = []
    taken: set[str] = set()
    leading: set[str] = set()
    for problem in problems:
        touched = _touched(problem)
        around = {pointer for one in touched for pointer in _leading(one)}
        if problem.fixes and touched.isdisjoint(leading) and around.isdisjoint(taken):
            chosen.append(problem)
            taken |= touched
            leading |= around
    return _applied(document, chosen)


def _applied(document: Document, problems: list[Problem]) -> tuple[str, list[Problem]]:
    """Applies all fixes at once, or else each half separately, so that one impossible fix does not stop the others."""
    text = document.text or ""
    if not problems:
        return text, []
    changed = edit.patch(document, [operation for problem in problems for operation in problem.fixes])
    if changed is not None:
        return changed, problems
    if len(problems) == 1:
        changed = _one_by_one(document, problems[0].fixes)
        return (text, []) if changed is None else (changed, problems)
    middle = len(problems) // 2
    text, first = _applied(document, problems[:middle])
    now, _ = documents.read(text, document.file)
    assert now is not None, "a patched text can be read"
    text, second = _applied(now, problems[middle:])
    return text, first + second


def _one_by_one(document: Document, operations: Sequence[Operation]) -> str | None:
    """Returns the text after operations that each build on the previous ones, or None when one is impossible."""
    changed: str | None = document.text
    found: Document | None = document
    for operation in operations:
        changed = edit.patch(found, [operation]) if found is not None else None
        if changed is None:
            return None
        found, _ = documents.read(changed, document.file)
    return changed


def _touched(problem: Problem) -> set[str]:
    """Returns the locations that a problem's fixes read or write."""
    sources = {operation.source for operation in problem.fixes if isinstance(operation, Move)}
    return {operation.path for operation in problem.fixes} | sources


def _leading(pointer: str) -> Iterator[str]:
    """Yields the pointers that lead to a location, itself the last of them."""
    return (pointer[:end] for end, char in enumerate(f"{pointer}/") if char == "/")
