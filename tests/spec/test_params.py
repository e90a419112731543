from __future__ import annotations

from typing import Any

import pytest

from e2i.spec.load import load
from e2i.spec.models import ParamSpec
from e2i.spec.params import check_value, parameter_values

HEAD = "version: 1\nname: n\n"
STEPS = "steps: {a: {uses: debug.echo}}\n"


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        ({"type": "integer"}, 3, None),
        ({"type": "integer"}, 3.5, "must be an integer, not 3.5"),
        ({"type": "integer"}, True, "must be an integer, not true"),
        ({"type": "number"}, 3, None),
        ({"type": "boolean"}, "no", "must be a boolean, not 'no'"),
        ({"type": "list", "max": 1}, [1, 2], "must be at most 1, not [1, 2]"),
        ({"type": "string", "min": 2}, "a", "must be at least 2, not 'a'"),
        ({"type": "string", "pattern": "a|b"}, "ab", "must match 'a|b', and 'ab' does not"),
        (
            {"type": "string", "choices": ("red", "green")},
            "gren",
            "must be one of 'red', 'green', not 'gren' (did you mean \"green\"?)",
        ),
        ({"type": "date"}, "2024-02-29", None),
        ({"type": "date"}, "2023-02-29", "must be a date"),
        ({"type": "mapping"}, {}, None),
    ],
)
def test_a_value_is_checked_against_its_declaration(declared: dict[str, Any], value: Any, expected: str | None) -> None:
    error = check_value(ParamSpec(**declared), value)[1]
    assert (error is None) == (expected is None)
    assert (expected or "") in (error or "")


def test_values_are_given_or_default_or_missing() -> None:
    found, problems = load(
        HEAD
        + "params: {a: {type: integer}, b: {type: number, default: 2}, c: {type: string, default: null}}\n"
        + STEPS,
        "s.yaml",
    )
    assert found is not None, problems
    values, problems = parameter_values(found.spec, found.document, {"a": 1})
    assert (values, problems) == ({"a": 1, "b": 2.0, "c": None}, [])
    values, problems = parameter_values(found.spec, found.document, {"b": "x", "d": 1})
    assert values == {"c": None}
    assert [problem.code for problem in problems] == ["unknown-parameter", "missing-parameter", "bad-parameter"]


def test_a_number_for_a_text_is_told_how_to_quote() -> None:
    found, problems = load(HEAD + "params: {zip: {type: string}}\n" + STEPS, "s.yaml")
    assert found is not None, problems
    _, problems = parameter_values(found.spec, found.document, {"zip": 2116})
    assert problems[0].hint == """pass it as a text: -p zip='"…"'"""
