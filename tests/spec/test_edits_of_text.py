"""A text that cannot be read: its safe fix as an edit, and the problems behind it."""

from __future__ import annotations

import pytest

from e2i.spec.load import load
from e2i.spec.problems import Problem, TextEdit

HEAD = "version: 1\nname: n\nsteps:\n"


def applied(text: str, edit: TextEdit) -> str:
    lines = text.splitlines(keepends=True)
    start = sum(map(len, lines[: edit.line - 1])) + edit.column - 1
    end = sum(map(len, lines[: edit.end_line - 1])) + edit.end_column - 1
    return text[:start] + edit.text + text[end:]


def problems(text: str) -> list[Problem]:
    return load(text, "s.yaml")[1]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("\ta: {uses: debug.echo}\n", "tab"),
        ("  a: {uses: debug.echo, with: {value: {{ params.n }}}}\n", "key-type"),
        ("  a: {uses: debug.echo, with: {value: ${{ params.n }}}}\n", "yaml-syntax"),
        ("  a:\n    uses:debug.echo\n    when: true\n", "yaml-syntax"),
    ],
)
def test_a_safe_fix_of_a_text_is_an_edit_that_makes_it_readable(body: str, code: str) -> None:
    (problem,) = problems(HEAD + body)
    assert (problem.code, problem.fixable, problem.fixes) == (code, True, ())
    assert problem.edit is not None
    loaded, left = load(applied(HEAD + body, problem.edit), "s.yaml")
    assert loaded is not None and left == []
    document = problem.to_json()
    assert document["fixable"] and document["edit"]["line"] == problem.edit.line


def test_problems_behind_a_fixable_text_are_reported_with_it() -> None:
    found = problems(
        HEAD + "  a: {uses: debug.echo, with: {value: ${{ params.n }}}}\n  b: {uses: debug.echo, on_error: x}\n"
    )
    assert [(problem.code, problem.location.line) for problem in found] == [("yaml-syntax", 4), ("bad-value", 5)]


def test_a_text_without_a_safe_fix_has_no_edit() -> None:
    (problem,) = problems(HEAD + '  a: {uses: debug.echo, with: {value: ["one, "two"]}}\n')
    assert (problem.fixable, problem.edit) == (False, None)
    assert problem.to_json()["edit"] is None


def test_all_safe_fixes_of_one_text_are_found() -> None:
    body = "  a: {uses: debug.echo, with: {value: ${{ params.n }}}}\n  b: {uses: debug.echo, with: {value: ${{ params.m }}}}\n"
    found = problems(HEAD + body)
    assert [(problem.location.line, problem.fixable) for problem in found] == [(4, True), (5, True)]
