"""The counts that Great Expectations gave, counted again with pandas from the tables and the suites themselves."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from e2e.sandbox import UNREPORTED, Run

Kwargs = dict[str, Any]

BAD_ROWS: dict[str, Callable[[Any, Kwargs], Any]] = {
    "expect_column_values_to_not_be_null": lambda t, k: t[k["column"]].isna(),
    "expect_column_values_to_be_unique": lambda t, k: t[k["column"]].duplicated(keep=False),
    "expect_column_values_to_be_in_set": lambda t, k: ~t[k["column"]].isin(k["value_set"]),
    "expect_column_values_to_match_regex": lambda t, k: ~t[k["column"]].str.match(k["regex"]),
    "expect_column_values_to_be_between": lambda t, k: ~t[k["column"]].between(k["min_value"], k["max_value"]),
    "expect_compound_columns_to_be_unique": lambda t, k: t.duplicated(k["column_list"], keep=False),
    "expect_column_pair_values_a_to_be_greater_than_b": lambda t, k: t[k["column_A"]] < t[k["column_B"]],
}
"""Which rows are not as expected, among those that have a value (unless having one is what is expected)."""
OBSERVED: dict[str, Callable[[Any, Kwargs], Any]] = {
    "expect_column_mean_to_be_between": lambda t, k: t[k["column"]].mean(),
    "expect_column_stdev_to_be_between": lambda t, k: t[k["column"]].std(),
    "expect_column_proportion_of_unique_values_to_be_between": lambda t, k: t[k["column"]].nunique() / len(t),
}


@pytest.mark.parametrize(
    ("name", "suite", "table"),
    [
        ("flights", "flights", ("data", "flights")),
        ("conversion", "e2i_classification_suite", ("journeys", "table")),
        ("volume", "e2i_regression_suite", ("data", "journeys")),
    ],
)
def test_every_count_equals_a_recomputation_with_pandas(
    name: str, suite: str, table: tuple[str, str], request: pytest.FixtureRequest
) -> None:
    run: Run = request.getfixturevalue(name)
    file = run.sandbox.workspace / "config" / "expectations" / f"{suite}.yaml"
    expected = yaml.safe_load(file.read_text("utf-8"))["expectations"]
    rows, outputs = run.frame(*table), run.outputs("quality")
    assert [result["type"] for result in outputs["results"]] == [expectation["type"] for expectation in expected]
    for expectation, result in zip(expected, outputs["results"], strict=True):
        kind = expectation["type"]
        if kind in BAD_ROWS:
            looked_at = (
                rows.dropna(subset=columns(expectation)) if kind != "expect_column_values_to_not_be_null" else rows
            )
            bad = int(BAD_ROWS[kind](looked_at, expectation).sum())
            assert (result["element_count"], result["unexpected_count"]) == (len(rows), bad), expectation
            assert (result["missing_count"] or 0) == len(rows) - len(looked_at), expectation
            assert result["success"] == (bad <= (1 - expectation.get("mostly", 1)) * len(looked_at)), expectation
        elif kind in OBSERVED:
            assert result["observed_value"] == pytest.approx(OBSERVED[kind](rows, expectation), rel=1e-9), expectation
        else:
            assert kind == "expect_column_values_to_be_in_type_list"
            assert (str(rows[expectation["column"]].dtype) in expectation["type_list"]) == result["success"]
    held = sum(result["success"] for result in outputs["results"])
    assert outputs["statistics"] == {
        "evaluated": len(expected),
        "successful": held,
        "unsuccessful": len(expected) - held,
        "success_percent": pytest.approx(100 * held / len(expected)),
    }


def columns(expectation: Kwargs) -> list[str]:
    named = [expectation[name] for name in ("column", "column_A", "column_B") if name in expectation]
    return [*named, *expectation.get("column_list", [])]


@pytest.mark.slow
def test_a_failed_suite_fails_the_step_and_names_expectation_column_and_count(flights: Run) -> None:
    spec = flights.sandbox.workspace / "specs" / "flight_delays.yaml"
    document = yaml.safe_load(spec.read_text("utf-8"))
    document["name"] = "strict"
    document["steps"] = {name: document["steps"][name] for name in ("data", "quality", "features")}
    document["steps"]["quality"]["with"]["suite"] = [
        {"type": "expect_column_values_to_be_in_set", "column": "origin", "value_set": ["EWR", "JFK"]}
    ]
    document["outputs"] = {}
    spec.with_name("strict.yaml").write_text(yaml.safe_dump(document), "utf-8")
    try:
        run = flights.sandbox.run("specs/strict.yaml", "-p", "rows=6000", *UNREPORTED, exit_code=1)
    finally:
        spec.with_name("strict.yaml").unlink()
    bad = int((flights.frame("data", "flights")["origin"] == "LGA").sum())
    message = run.end["steps"]["quality"]["error"]["message"]
    assert "expect_column_values_to_be_in_set(origin)" in message
    assert re.search(rf"\b{bad}\b", message), message
    assert run.end["steps"]["data"]["status"] == "reused"
    assert run.end["steps"]["features"]["status"] == "skipped"
