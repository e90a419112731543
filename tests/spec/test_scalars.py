"""The YAML 1.2 core schema, row by row."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.spec import scalars


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, None) for text in ("", "~", "null", "Null", "NULL")],
        *[(text, True) for text in ("true", "True", "TRUE")],
        *[(text, False) for text in ("false", "False", "FALSE")],
        *[(text, text) for text in ("yes", "no", "on", "off", "y", "N", "nULL", "tRUE", "none", "None")],
        *[("0", 0), ("-0", 0), ("+7", 7), ("0123", 123), ("-12", -12), ("0o17", 15), ("0x1F", 31), ("0xff", 255)],
        *[(text, text) for text in ("0b1", "1_000", "0o8", "0xG", "-0x1", "+0o7", "12:30", "12:30:45", "2026-11-22")],
        *[("1e3", 1000.0), ("1E-2", 0.01), (".5", 0.5), ("5.", 5.0), ("-1.5e+2", -150.0), ("+.5", 0.5), ("0.0", 0.0)],
        *[(text, text) for text in (".", "e3", ".e3", "1e", "1e+", "--1", "+-1", "1.2.3", "-", "+", "0x", "0o", "١")],
        *[(".inf", math.inf), ("-.INF", -math.inf), ("+.Inf", math.inf), ("inf", "inf"), ("nan", "nan")],
        *[("-9223372036854775808", -(2**63)), ("9223372036854775807", 2**63 - 1), ("0x7fffffffffffffff", 2**63 - 1)],
    ],
)
def test_plain_scalars_follow_the_core_schema(text: str, value: object) -> None:
    resolved = scalars.resolve(text)
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number_has_three_spellings(text: str) -> None:
    value = scalars.resolve(text)
    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.parametrize(
    "text",
    [
        "9223372036854775808",
        "-9223372036854775809",
        "0xffffffffffffffff1",
        "0o1000000000000000000000",
        "1e999",
        "-1e999",
    ],
)
def test_numbers_that_fit_nowhere_are_refused(text: str) -> None:
    with pytest.raises(scalars.ScalarError):
        scalars.resolve(text)


@pytest.mark.parametrize("text", ["0x" + "f" * 2_000_000, "9" * 2_000_000, "0o" + "7" * 2_000_000])
def test_an_integer_of_two_million_digits_is_refused_at_once(text: str) -> None:
    start = time.process_time()
    with pytest.raises(scalars.ScalarError) as caught:
        scalars.resolve(text)
    assert time.process_time() - start < 0.5
    assert len(str(caught.value)) < 200


@given(st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False))
def test_what_python_writes_of_a_number_is_read_as_the_same_number(value: float) -> None:
    assert scalars.resolve(repr(value)) == value


@pytest.mark.parametrize(
    "char", ["\0", "\x07", "\x1b", "\r", "\x7f", "\x85", "\u200f", "\u202e", "\u2066", "\ud800", "\ufeff"]
)
def test_characters_that_make_text_read_otherwise_than_it_is_are_forbidden(char: str) -> None:
    assert scalars.forbidden("ab" + char) == 2
    assert scalars.character(char).startswith(f"U+{ord(char):04X}")


def test_ordinary_text_of_any_language_is_allowed() -> None:
    assert scalars.forbidden("tab\t line\n Größe 数据 עברית 👩‍🔬 \u00a0") is None
