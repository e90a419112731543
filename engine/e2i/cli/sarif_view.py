"""Problems go in; a SARIF 2.1.0 log comes out, as code scanning and review tools read it.

Fixes come along as replacements of text. https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from e2i import __version__, regular
from e2i.check import codes
from e2i.spec import document as documents
from e2i.spec import edit
from e2i.spec.document import Document
from e2i.spec.problems import Place, Problem

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def document(problems: Sequence[Problem]) -> dict[str, Any]:
    """The log: one run, a rule for each code, a result for each problem."""
    rules = sorted({problem.code for problem in problems})
    driver = {
        "name": "e2i",
        "semanticVersion": __version__,
        "rules": [_rule(code) for code in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, rules.index(problem.code)) for problem in problems],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    known = codes.find(code)
    rule: dict[str, Any] = {"id": code, "shortDescription": {"text": known.title if known else code}}
    if known:
        rule["fullDescription"] = {"text": known.why}
        rule["help"] = {"text": f"{known.why}\n\nWhat to do: {known.mend}"}
    return rule


def _result(problem: Problem, rule: int) -> dict[str, Any]:
    text = problem.message + (f" ({problem.hint})" if problem.hint else "")
    result: dict[str, Any] = {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": problem.severity,
        "message": {"text": text},
        "locations": [{"physicalLocation": _location(problem.place)}],
    }
    if problem.fixes and (replacements := _replacements(problem)):
        change = {"artifactLocation": _file(problem.place), "replacements": replacements}
        result["fixes"] = [{"description": {"text": problem.hint or "mend it"}, "artifactChanges": [change]}]
    return result


def _location(place: Place) -> dict[str, Any]:
    region = {"startLine": place.line, "startColumn": place.column}
    return {"artifactLocation": _file(place), "region": region}


def _file(place: Place) -> dict[str, str]:
    return {"uri": quote(Path(place.file).as_posix())}


def _replacements(problem: Problem) -> list[dict[str, Any]]:
    """The problem's fixes as changes of the file's text; none when they cannot be said so."""
    found = _read(problem.place.file)
    if found is None or found.text is None or edit.patch(found, problem.fixes) is None:
        return []
    return [_replacement(found.text, change) for change in edit.edits(found, problem.fixes)]


def _replacement(text: str, change: edit.Edit) -> dict[str, Any]:
    (line, column), (end_line, end_column) = _places(text, (change.start, change.end))
    deleted = {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}
    return {"deletedRegion": deleted, "insertedContent": {"text": change.text}}


def _places(text: str, offsets: Iterable[int]) -> list[tuple[int, int]]:
    """Line and column, from 1, of each offset."""
    before = (text[:offset].replace("\r\n", "\n").replace("\r", "\n").split("\n") for offset in offsets)
    return [(len(lines), len(lines[-1]) + 1) for lines in before]


@cache
def _read(file: str) -> Document | None:
    try:
        return documents.read(regular.read(Path(file), regular.SPEC), file)[0]
    except OSError:
        return None
