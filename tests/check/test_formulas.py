"""The kinds of formulas' values, held against what the evaluator really gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.catalog.artifacts import Table
from e2i.check import formulas, types
from e2i.check.types import Types
from e2i.spec import formula
from e2i.spec.references import Reference, Scope

PARAMS: dict[str, Any] = {
    "n": 3,
    "x": 0.5,
    "s": "text",
    "b": True,
    "l": [1, 2],
    "t": ["a", "b"],
    "m": {"k": 1.5, "w": 2.5},
}
SCOPE = Scope(params=PARAMS)


def look(reference: Reference) -> Types:
    return types.at(types.of_value(PARAMS), reference.path)


def infer(source: str) -> tuple[Types, list[str]]:
    return formulas.infer(formula.parse(source), look)


@pytest.mark.parametrize(
    ("source", "described"),
    [
        ("params.n + 1", "an integer"),
        ("params.n / 2", "a number"),
        ("params.n ** 2", "a number or an integer"),
        ("params.n * params.x", "a number"),
        ("-params.n", "an integer"),
        ("params.s + 'x'", "a string"),
        ("params.s * 2", "a string"),
        ("params.t + ['c']", "a list"),
        ("params.n ~ params.x", "a string"),
        ("params.n > 2 and params.b", "a boolean"),
        ("not params.s", "a boolean"),
        ("params.x is number", "a boolean"),
        ("1 in params.l", "a boolean"),
        ("params.n if params.b else 'none'", "a string or an integer"),
        ("params.s | default(3)", "a string or an integer"),
        ("params.l | first", "an integer"),
        ("params.t | sort | last", "a string"),
        ("params.m | values | max", "a number"),
        ("params.m | keys", "a list of string"),
        ("params.l | length", "an integer"),
        ("params.x | round", "a number or an integer"),
        ("params.x | int", "an integer"),
        ("[params.n, 'a']", "a list of integer or string"),
        ("{'a': params.n}.a", "an integer"),
        ("params.m['k']", "a number"),
        ("params.l[params.n]", "an integer"),
    ],
)
def test_the_kind_of_a_formula(source: str, described: str) -> None:
    given, errors = infer(source)
    assert (sorted(types.describe(given).split(" or ")), errors) == (sorted(described.split(" or ")), [])


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("params.s + 1", '"+" does not work on a string and an integer'),
        ("params.m / 2", '"/" does not work on a mapping and an integer'),
        ("-params.s", '"-" does not work on a string and an integer'),
        ("params.s > 1", '">" does not work on a string and an integer'),
        ("1 in params.n", '"in" does not work on an integer and an integer'),
        ("params.n | length", "length does not work on an integer"),
        ("params.n | upper", "upper does not work on an integer"),
        ("params.s | sum", "sum does not work on a string"),
        ("(params.l | first).name", 'an integer has no "name"'),
        ("[params.s + 1, 2] | first", '"+" does not work on a string and an integer'),
    ],
)
def test_what_cannot_work_is_said_once(source: str, error: str) -> None:
    assert infer(source)[1] == [error]
    with pytest.raises(ValueError):  # and the evaluator agrees
        formula.parse(source).evaluate(SCOPE)


def test_what_may_work_is_no_fault() -> None:
    def anything(reference: Reference) -> Types:
        return types.union((types.NUMBER, types.NULL, types.STRING)) if reference.path == ("n",) else types.ANY

    for source in ("params.n + 1", "params.n > 0", "params.n | upper", "params.y | sum", "params.y.z / 2"):
        assert formulas.infer(formula.parse(source), anything)[1] == []


def test_an_artifact_can_be_read_like_a_mapping() -> None:
    def table(reference: Reference) -> Types:
        return types.at(types.of(Table), reference.path)

    assert formulas.infer(formula.parse("params['rows'] * 2"), table) == (types.INTEGER, [])
    assert formulas.infer(formula.parse("params | length"), table) == (types.INTEGER, [])


ATOMS = st.sampled_from(
    ["params.n", "params.x", "params.s", "params.b", "params.l", "params.t", "params.m", "2", "'a'", "1.5"]
)
FORMULAS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "~", "<", "==", "and", "or", "in"]), inner).map(
            lambda instances: f"({instances[0]} {instances[1]} {instances[2]})"
        ),
        st.tuples(
            inner,
            st.sampled_from(
                ["length", "first", "last", "sum", "max", "min", "abs", "round", "int(0)", "float(0)", "upper",
                 "string", "sort", "unique", "keys", "values", "join", "tojson", "default(1)"]
            ),
        ).map(lambda instances: f"({instances[0]} | {instances[1]})"),
        inner.map(lambda one: f"(not {one})"),
        st.tuples(inner, inner, inner).map(lambda instances: f"({instances[0]} if {instances[1]} else {instances[2]})"),
    ),
    max_leaves=5,
)  # fmt: skip


@given(FORMULAS)
def test_the_value_is_always_of_the_kind_that_was_inferred(source: str) -> None:
    parsed = formula.parse(source)
    expected, errors = formulas.infer(parsed, look)
    try:
        value = parsed.evaluate(SCOPE)
    except ValueError:
        return
    real = types.of_value(value)
    assert types.accepts(real, expected), (source, value, expected)
    if real[0].name in ("integer", "number"):
        assert types.can_be(expected, "integer", "number")
    assert errors == [] or " if " in source or " and " in source or " or " in source or "default" in source
