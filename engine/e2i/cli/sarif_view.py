"""Write problems as a SARIF 2.1.0 log for code scanning and review tools.

Fixes are included as replacements of text. https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from e2i import __version__, regular
from e2i.check import codes
from e2i.spec import document as documents
from e2i.spec import edit
from e2i.spec.document import Document
from e2i.spec.problems import Location, Problem

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MOST_READ = 1_000_000
"""Maximum number of characters that are read back to try fixes. The log leaves out fixes beyond it."""
_LINE_END = re.compile(r"\r\n|\n|\r")


def document(problems: Sequence[Problem]) -> dict[str, Any]:
    """Returns the log: one run, a rule for each code, a result for each problem."""
    rules = sorted({problem.code for problem in problems})
    fixable = _fixable(problems)
    driver = {
        "name": "e2i",
        "semanticVersion": __version__,
        "rules": [_rule(code) for code in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, rules.index(problem.code), fixable) for problem in problems],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    known = codes.find(code)
    rule: dict[str, Any] = {"id": code, "shortDescription": {"text": known.title if known else code}}
    if known:
        rule["fullDescription"] = {"text": known.why}
        rule["help"] = {"text": f"{known.why}\n\nWhat to do: {known.fix}"}
    return rule


def _result(problem: Problem, rule: int, fixable: set[int]) -> dict[str, Any]:
    text = problem.message + (f" ({problem.hint})" if problem.hint else "")
    result: dict[str, Any] = {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": problem.severity,
        "message": {"text": text},
        "locations": [{"physicalLocation": _location(problem.location)}],
    }
    if id(problem) in fixable:
        change = {"artifactLocation": _file(problem.location), "replacements": _replacements(problem)}
        result["fixes"] = [{"description": {"text": problem.hint or "apply the fix"}, "artifactChanges": [change]}]
    return result


def _location(location: Location) -> dict[str, Any]:
    region = {"startLine": location.line, "startColumn": location.column}
    return {"artifactLocation": _file(location), "region": region}


def _file(location: Location) -> dict[str, str]:
    return {"uri": quote(Path(location.file).as_posix())}


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


def _replacements(problem: Problem) -> list[dict[str, Any]]:
    """Returns the problem's fixes as changes of the file's text."""
    found = _read(problem.location.file)
    assert found is not None and found.text is not None, "the fixes were tried before"
    return [_replacement(_starts(problem.location.file), change) for change in edit.edits(found, problem.fixes)]


def _replacement(starts: Sequence[int], change: edit.Edit) -> dict[str, Any]:
    (line, column), (end_line, end_column) = (_line_and_column(starts, offset) for offset in (change.start, change.end))
    deleted = {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}
    return {"deletedRegion": deleted, "insertedContent": {"text": change.text}}


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
