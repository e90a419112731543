"""Durations, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.spec import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("10m", 600),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("500ms", 0.5),
        ("3ms", 0.003),
        ("1.5s", 1.5),
        ("1d2h3m4s5ms", 93_784.005),
        ("0s", 0),
        ("90m", 5400),
    ],
)
def test_durations_are_read_as_seconds(text: str, seconds: float) -> None:
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "s", "30 s", "-5s", "1m1h", "5s5s", "1e3s", "1.s", "10min", "½h", "5s\n", "٣s"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30s, 10m or 1h30m"):
        durations.parse(text)


def test_a_long_text_is_refused_in_a_short_message() -> None:
    with pytest.raises(ValueError, match="…") as caught:
        durations.parse("9" * 100_000 + "s")
    assert len(str(caught.value)) < 200


@given(st.integers(0, 10**12))
def test_text_and_seconds_round_trip_in_milliseconds(milliseconds: int) -> None:
    assert round(durations.parse(durations.text(milliseconds / 1000)) * 1000) == milliseconds


def test_text_is_the_shortest_sum_of_units() -> None:
    assert [durations.text(value) for value in (0, 0.5, 90, 5400, 90_061.001)] == [
        "0s",
        "500ms",
        "1m30s",
        "1h30m",
        "1d1h1m1s1ms",
    ]


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_no_duration_is_negative_or_endless(seconds: float) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        durations.text(seconds)
