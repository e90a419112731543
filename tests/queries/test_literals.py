"""Parameters as literals: DuckDB reads back the value that was written, whatever is in it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.queries import session, syntax
from e2i.queries.literals import Written, literal, written
from e2i.queries.syntax import Finding, Query

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), TEXTS
)


@given(VALUES)
def test_a_value_is_read_as_it_was_written(value: object) -> None:
    with session.planning() as connection:
        (row,) = connection.execute(f"SELECT {literal(value)}, 1").fetchall()
    assert row == (value, 1)


@given(st.lists(TEXTS, min_size=1))
def test_so_is_a_list(values: list[str]) -> None:
    with session.planning() as connection:
        assert connection.execute(f"SELECT {literal(values)}").fetchall() == [(values,)]


def test_other_values_are_no_literals() -> None:
    with pytest.raises(TypeError):
        literal(object())
    assert math.isclose(float(literal(0.1).split("(")[1].split(" ")[0]), 0.1)


@given(st.lists(st.tuples(st.sampled_from(["a", "long_name"]), TEXTS), max_size=4))
def test_an_offset_in_the_written_query_leads_back(parts: list[tuple[str, str]]) -> None:
    params = dict(parts) or {"a": "x"}
    query = "SELECT 'é'" + "".join(f", ${name}" for name in params) + ", mark"
    with session.planning() as connection:
        statements, _ = syntax.parsed(connection, query)
    text, findings = written(statements[0]["node"], Query(query, params))
    assert isinstance(text, Written) and not findings
    found = text.back(Finding("x", "y", text.text.rindex("mark")))
    assert found.offset == query.rindex("mark")
