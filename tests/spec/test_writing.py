from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.spec import document, scalars
from e2i.spec.writing import quoted, written

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).filter(
    lambda text: scalars.forbidden(text) is None and "\x85" not in text
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXTS, below, max_size=3))


def read(text: str) -> Any:
    value, problems = document.read_value(text, "test")
    assert not problems, (text, problems)
    return value


@given(VALUES)
def test_what_is_written_reads_back(value: Any) -> None:
    assert read(f"[{written(value)}]") == [value]
    assert read(f"key: {written(value, flow=False)}") == {"key": value}


@given(TEXTS, st.sampled_from(["'", '"', "x"]))
def test_text_reads_back_in_the_quotes_of_what_it_replaces(text: str, like: str) -> None:
    assert read(f"[{written(text, like=like)}]") == [text]
    assert read(f"[{quoted(text)}]") == [text]


@pytest.mark.parametrize(
    ("value", "like", "flow", "expected"),
    [
        ("debug.echo", "debug.ecko", True, "debug.echo"),
        ("debug.echo", "'debug.ecko'", True, "'debug.echo'"),
        ("debug.echo", '"debug.ecko"', True, '"debug.echo"'),
        (20, "'20'", True, "20"),
        ("20", "20", True, '"20"'),
        ("true", "", True, '"true"'),
        ("${{ params.x }}", "", False, "${{ params.x }}"),
        ("${{ params.x }}", "", True, '"${{ params.x }}"'),
        ("a: b", "", False, '"a: b"'),
        ({"attempts": 3}, "3", True, "{attempts: 3}"),
        (["a", "b c"], "a", True, "[a, b c]"),
    ],
)
def test_values_are_written_like_what_stood_there(value: Any, like: str, flow: bool, expected: str) -> None:
    assert written(value, like=like, flow=flow) == expected


def test_quotes_are_those_with_the_fewest_escapes() -> None:
    assert quoted("a b") == '"a b"'
    assert quoted("${{ x == 'a' }}") == "\"${{ x == 'a' }}\""
    assert quoted('${{ {"a": 1} }}') == "'${{ {\"a\": 1} }}'"
