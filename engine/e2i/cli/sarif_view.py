"""Write problems as a SARIF 2.1.0 log for code scanning and review tools.

Fixes are included as replacements of text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import quote

from msgspec import UNSET, UnsetType

from e2i import __version__, regular
from e2i.check import codes
from e2i.cli import sarif
from e2i.cli.sarif import Message
from e2i.spec import document as documents
from e2i.spec import edit
from e2i.spec.document import Document
from e2i.spec.problems import Problem

MOST_READ = 1_000_000
"""Maximum number of characters that are read back to try fixes. The log leaves out fixes beyond it."""
_LINE_END = re.compile(r"\r\n|\n|\r")


def document(problems: Sequence[Problem]) -> sarif.Log:
    """Returns the log: one run, a rule for each code, a result for each problem."""
    names = sorted({problem.code for problem in problems})
    fixable = _fixable(problems)
    driver = sarif.Driver(name="e2i", semantic_version=__version__, rules=[_rule(code) for code in names])
    results = [_result(problem, names.index(problem.code), id(problem) in fixable) for problem in problems]
    run = sarif.Run(tool=sarif.Tool(driver=driver), column_kind="unicodeCodePoints", results=results)
    return sarif.Log(runs=[run])


def _rule(code: str) -> sarif.Rule:
    known = codes.find(code)
    if known is None:
        return sarif.Rule(id=code, short_description=Message(text=code))
    return sarif.Rule(
        id=code,
        short_description=Message(text=known.title),
        full_description=Message(text=known.why),
        help=Message(text=f"{known.why}\n\nWhat to do: {known.fix}"),
    )


def _result(problem: Problem, rule: int, fixable: bool) -> sarif.Result:
    file = sarif.ArtifactLocation(uri=quote(Path(problem.location.file).as_posix()))
    region = sarif.Region(start_line=problem.location.line, start_column=problem.location.column)
    fixes: list[sarif.Fix] | UnsetType = UNSET
    if fixable:
        change = sarif.ArtifactChange(artifact_location=file, replacements=_replacements(problem))
        fixes = [sarif.Fix(description=Message(text=problem.hint or "apply the fix"), artifact_changes=[change])]
    return sarif.Result(
        rule_id=problem.code,
        rule_index=rule,
        level=problem.severity,
        message=Message(text=problem.message + (f" ({problem.hint})" if problem.hint else "")),
        locations=[sarif.Location(physical_location=sarif.PhysicalLocation(artifact_location=file, region=region))],
        fixes=fixes,
    )


def _fixable(problems: Sequence[Problem]) -> set[int]:
    """Returns the ids of the problems whose fixes can be written as changes of their file's text.

    All fixes of a file are tried together, and in halves only where that fails: each trial reads the text back.
    """
    files: dict[str, list[Problem]] = {}
    for problem in problems:
        if problem.fixes:
            files.setdefault(problem.location.file, []).append(problem)
    return {id(problem) for file, wrong in files.items() for problem in _tried(_read(file), wrong)}


def _tried(document: Document | None, problems: Sequence[Problem]) -> Iterator[Problem]:
    """Yields the problems of one file whose fixes can be applied; none after too much reading."""
    if document is None or document.text is None:
        return
    left = max(MOST_READ // (len(document.text) + 1), 2)
    waiting = [problems]
    while waiting and left:
        some = waiting.pop()
        left -= 1
        if edit.patch(document, [operation for problem in some for operation in problem.fixes]) is not None:
            yield from some
        elif len(some) > 1:
            middle = len(some) // 2
            waiting += [some[middle:], some[:middle]]


def _replacements(problem: Problem) -> list[sarif.Replacement]:
    """Returns the problem's fixes as changes of the file's text."""
    found = _read(problem.location.file)
    assert found is not None and found.text is not None, "the fixes were tried before"
    return [_replacement(_starts(problem.location.file), change) for change in edit.edits(found, problem.fixes)]


def _replacement(starts: Sequence[int], change: edit.Edit) -> sarif.Replacement:
    (line, column), (end_line, end_column) = (_line_and_column(starts, offset) for offset in (change.start, change.end))
    deleted = sarif.Region(start_line=line, start_column=column, end_line=end_line, end_column=end_column)
    return sarif.Replacement(deleted_region=deleted, inserted_content=Message(text=change.text))


def _line_and_column(starts: Sequence[int], offset: int) -> tuple[int, int]:
    """Returns line and column of an offset, counted from 1."""
    line = bisect_right(starts, offset)
    return line, offset - starts[line - 1] + 1


@cache
def _starts(file: str) -> list[int]:
    """Returns the offset at which each line of a file starts."""
    found = _read(file)
    text = (found.text if found else None) or ""
    return [0, *(end.end() for end in _LINE_END.finditer(text))]


@cache
def _read(file: str) -> Document | None:
    try:
        return documents.read(regular.read(Path(file), regular.SPEC), file)[0]
    except OSError:
        return None
