from __future__ import annotations

import pytest

from e2i.spec import dialects, expressions


@pytest.mark.parametrize(
    ("expression", "sign", "hint"),
    [
        ("a && b", "&&", "and"),
        ("a || b", "||", "or"),
        ("a ? 1 : 2", "?", "if condition"),
        ("!a", "!", "not x"),
        ("a === 1", "===", "=="),
        ("a !== 1", "!==", "!="),
        ("a = 1", "=", "=="),
        ("a ?? 1", "??", "default"),
        ("a?.b", "?.", "default"),
    ],
)
def test_the_first_operator_of_another_language_is_found(expression: str, sign: str, hint: str) -> None:
    found = dialects.foreign(expression)
    assert found is not None and found.sign == sign and hint in found.hint
    assert expression.startswith(sign, found.offset)


@pytest.mark.parametrize("expression", ["a | default(0) b", "a != 1 b", "a <= 1 b", "'a && b' c", "a >= 2 b"])
def test_what_is_ours_is_not_taken_for_another_language(expression: str) -> None:
    assert dialects.foreign(expression) is None
    assert dialects.translated(expression) == expression


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("params.a > 1 && params.b || params.c", "params.a > 1 and params.b or params.c"),
        ("params.a ? 1 : 'b ? c : d'", "1 if params.a else 'b ? c : d'"),
        ("!params.a && !params.b", "not params.a and not params.b"),
        ("params.a === null", "params.a == none"),
        ("params.a <> 1", "params.a != 1"),
        ("len(params.a) > 2", "params.a | length > 2"),
        ("round(params.a, 2)", "params.a | round(2)"),
        ("contains(params.a, 'x')", "('x' in params.a)"),
        ("params.null.x", "params.null.x"),
    ],
)
def test_an_expression_is_translated(written: str, meant: str) -> None:
    assert dialects.translated(written) == meant
    assert expressions.parse(f"${{{{ {meant} }}}}").expressions


@pytest.mark.parametrize("written", ["!params.a == params.b", "f(params.a)", "a ? b ? 1 : 2 : 3"])
def test_an_expression_whose_meaning_could_change_is_left(written: str) -> None:
    assert dialects.translated(written) == written


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("{{ params.n }}", ["params.n"]),
        ("a $ {{ params.n }} b ${ params.m }", ["params.n", "params.m"]),
        ("${{ params.n }}", []),
        ("$${{ params.n }}", []),
        ('{"a": {"b": 1}}', []),
    ],
)
def test_expressions_in_other_braces_are_found(text: str, inside: list[str]) -> None:
    assert [found["inside"] for found in dialects.unmarked(text)] == inside
