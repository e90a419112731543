"""What is shown of outputs: artifacts as cards, numbers as people write them, everything of bounded size."""

from __future__ import annotations

import pytest

from e2i.report import values
from e2i.report.values import Card, Grid, Pairs, Raw, Text
from report.past import DIGEST


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.04, "0.04 s"),
        (0.3, "0.3 s"),
        (12, "12 s"),
        (59.97, "1 min"),
        (125, "2 min 05 s"),
        (3_780, "1 h 03 min"),
    ],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert values.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.903812345, "0.90381"),
        (1e-9, "1e-09"),
        (120.0, "120"),
        (1234567.8, "1,234,568"),
        (float("nan"), "nan"),
        (1e300, "1e+300"),
    ],
)
def test_numbers_keep_the_digits_that_count(value: float, text: str) -> None:
    assert values.number(value) == text


def test_an_artifact_is_a_card_with_a_short_digest() -> None:
    table = {"type": "table", "digest": DIGEST, "columns": [{"name": "a", "type": "double"}], "rows": 12_345}
    card = values.show(table)
    assert isinstance(card, Card)
    assert (card.type, card.title, card.digest, card.columns) == (
        "table",
        "12,345 rows × 1 column",
        "abababababab",
        (("a", "double"),),
    )


def test_what_only_looks_like_an_artifact_is_a_mapping() -> None:
    assert isinstance(values.show({"type": "table", "digest": "sha256:short"}), Pairs)


def test_lists_of_flat_mappings_are_grids_without_empty_columns() -> None:
    grid = values.show([{"a": 1, "b": None}, {"a": 2, "c": "x"}])
    assert isinstance(grid, Grid)
    assert grid.headers == ("a", "c")
    assert [cell.text for cell in grid.rows[0]] == ["1", ""]


def test_what_is_deep_or_mixed_is_json() -> None:
    deep = values.show({"a": {"b": {"c": {"d": 1}}}})
    for _ in range(3):
        assert isinstance(deep, Pairs)
        deep = deep.rows[0][1]
    assert isinstance(deep, Raw)
    assert isinstance(values.show([1, {"a": [1]}]), Raw)


def test_long_values_are_cut_and_say_so() -> None:
    text = values.show("x" * 10_000)
    assert isinstance(text, Text) and (len(text.text), text.cut) == (values.LONGEST, 6_000)
    pairs = values.show({str(number): number for number in range(100)})
    assert isinstance(pairs, Pairs) and (len(pairs.rows), pairs.more) == (values.MOST, 60)


def test_artifacts_are_found_at_any_depth() -> None:
    study = {"type": "study", "digest": DIGEST, "name": "s", "trials": 2}
    assert [found.type for found in values.artifacts({"a": [{"b": study}], "c": study, "d": 1})] == ["study", "study"]


def test_only_finite_numbers_are_metrics() -> None:
    assert values.numbers({"a": 1, "b": True, "c": "x", "d": float("inf"), "e": 0.5}) == {"a": 1, "e": 0.5}
    assert values.numbers([1]) == values.numbers(None) == {}


def test_sentences_take_the_width_of_the_page() -> None:
    assert values.is_wide(values.show("LightGBM is better than XGBoost. " * 6)) and not values.is_wide(
        values.show("ok")
    )
