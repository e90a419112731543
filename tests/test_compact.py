"""Fast JSON says the same as the standard library's."""

from __future__ import annotations

import json
import math
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from e2i import compact

KEYS = st.text() | st.integers() | st.booleans() | st.none()
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()) | st.text(st.characters(categories=["Cs", "Cc", "Cf"])),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner) | st.tuples(inner),
)  # fmt: skip


class Colour(StrEnum):
    RED = "red"


@pytest.mark.slow
@given(DATA)
def test_it_is_read_as_what_the_standard_library_writes(value: Any) -> None:
    text = compact.dumps(value)
    assert json.loads(compact.dumps(value, spaced=True)) == json.loads(text)
    assert json.loads(text) == json.loads(json.dumps(value, ensure_ascii=False))
    assert "\n" not in text


def test_what_json_does_not_have_is_null() -> None:
    assert compact.dumps([math.nan, math.inf, {"x": -math.inf}]) == '[null,null,{"x":null}]'


def test_spaces_stand_where_the_standard_library_writes_them() -> None:
    value = {"a": [1, {"b": ": , {"}], "c": {}, "d": [], "é": "漢"}
    assert compact.dumps(value, spaced=True) == json.dumps(value, ensure_ascii=False)


def test_integers_of_any_size_and_enumerations_are_written() -> None:
    assert compact.dumps([2**100, -(2**70)]) == f"[{2**100},{-(2**70)}]"
    assert compact.dumps({"colour": Colour.RED}) == '{"colour":"red"}'


def test_what_is_not_plain_is_refused() -> None:
    with pytest.raises(TypeError):
        compact.dumps({"x": compact})


class Named(Struct, frozen=True):
    name: str
    value: Any = None


@given(DATA)
def test_what_is_written_is_read_as_the_standard_library_reads_it(value: Any) -> None:
    text = compact.dumps({"name": "x", "value": value})
    assert compact.loads(text, Named) == Named("x", json.loads(text)["value"])


def test_json_that_only_the_standard_library_reads_is_read() -> None:
    found = compact.loads('{"name": "\\ud800", "value": [NaN, -Infinity, 1e400]}', Named)
    assert found.name == "\ud800"
    assert math.isnan(found.value[0]) and found.value[1:] == [-math.inf, math.inf]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"name": 1}', '{"value": NaN}', '{"name": NaN}'])
def test_json_of_another_type_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        compact.loads(text, Named)
