"""Predicted features of a model, compared with ``schema.learn`` on the same table."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from e2i.catalog.columns import UNKNOWN, KnownModel, KnownRecipe, KnownTable
from e2i.catalog.lineage import Lineage
from e2i.errors import StepError
from e2i.estimators import columns, recipe_columns, schema

FRAME = pd.DataFrame(
    {
        "id": [f"{row}" for row in range(20)],
        "a": [float(row) for row in range(20)],
        "b": ["x", "y"] * 10,
        "at": pd.date_range("2024-01-01", periods=20, tz="UTC"),
        "made": [row * 2.0 for row in range(20)],
        "y": [row * 1.0 for row in range(20)],
    }
)
TABLE = KnownTable(
    {
        "id": "string",
        "a": "double",
        "b": "string",
        "at": "timestamp[us, tz=UTC]",
        "made": "double",
        "y": "double",
    },
    made_from={"made": Lineage.new("y")},
)


def learn(validation: Any = None, **given: Any) -> tuple[KnownModel, list[str]]:
    defaults = {"features": None, "exclude": (), "task": None, "algorithm": "Ridge", "target": "y"}
    model, problems = columns.learn(
        {**defaults, "table": TABLE, "validation": validation, **given}, "table", "validation"
    )
    return model, [f"{problem.code} at {'.'.join(map(str, problem.path))}" for problem in problems]


@pytest.mark.parametrize(
    "given",
    [
        {"exclude": ["at", "made"]},
        {"features": ["b", "a", "b"]},
        {"features": ["a", "b", "id"], "exclude": ["b"]},
        {"features": ("a",)},
    ],
)
def test_the_features_are_those_that_will_be_learnt_from(given: dict[str, Any]) -> None:
    model, problems = learn(**given)
    real = schema.learn(FRAME, "y", "Ridge", **given)
    twice = ["duplicate-name at features.2"] if given.get("features") == ["b", "a", "b"] else []  # only a warning
    assert (model.features, problems) == (real.names, twice)
    assert (model.target, model.task) == (real.target, real.task)


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({"target": "z", "features": ["a"]}, ["unknown-column at target"]),
        ({"features": ["a", "z"]}, ["unknown-column at features.1"]),
        ({"features": ["a"], "exclude": ["z"]}, ["unknown-column at exclude.0"]),
        ({"features": ["a", "y"]}, ["target-leak at features.1"]),
        ({"features": ["a", "at"]}, ["bad-feature at features.1"]),
        ({"exclude": ["made"]}, ["bad-feature at table"]),
        ({"features": ["a"], "exclude": ["a"]}, ["bad-feature at table"]),
    ],
)
def test_what_is_found_would_fail(given: dict[str, Any], problems: list[str]) -> None:
    assert learn(**given)[1] == problems
    with pytest.raises(StepError):
        schema.learn(FRAME, given.get("target", "y"), "Ridge", **{k: v for k, v in given.items() if k != "target"})


def test_a_column_that_the_target_tells_is_no_feature() -> None:
    assert learn(exclude=["at", "id"])[1] == ["target-leak at table"]
    assert learn(features=["a", "made"])[1] == ["target-leak at features.1"]
    assert learn(target="made", features=["a", "y"])[1] == ["target-leak at features.1"]


def test_the_validation_table_must_have_what_is_learnt() -> None:
    lacking = KnownTable({"a": "double"})
    assert learn(lacking, features=["a", "b"])[1] == ["unknown-column at validation"] * 2
    assert learn(TABLE, features=["a", "b"])[1] == []


@pytest.mark.parametrize("name", ["table", "target", "features", "exclude", "validation", "algorithm", "task"])
def test_what_is_not_known_is_no_fault(name: str) -> None:
    model, problems = learn(**{"features": ["a", "b"], "validation": TABLE, name: UNKNOWN})
    assert problems == []
    assert model.features in (None, ("a", "b"))


def test_a_model_is_used_on_tables_that_have_its_features_and_its_target() -> None:
    model = KnownModel("y", ("a", "b"))
    assert columns.uses({"model": model, "table": TABLE}, target=True) == []
    assert [
        problem.message for problem in columns.uses({"model": model, "table": TABLE.without(["b", "y"])}, target=True)
    ] == [
        'the table has no column "b", used as features by the model',
        'the table has no column "y", the target of the model',
    ]
    assert columns.uses({"model": UNKNOWN, "table": TABLE}) == columns.uses({"model": model, "table": UNKNOWN}) == []


@pytest.mark.parametrize(
    ("operation", "hint"),
    [
        ({"op": "scale"}, "columns of that type: spend"),
        ({"op": "impute"}, "use strategy mode or constant"),
        ({"op": "impute", "strategy": "mean"}, "use strategy mode or constant"),
        ({"op": "impute", "strategy": "mode"}, None),
        ({"op": "dates"}, "`parse_dates` of data.load"),
    ],
)
def test_a_text_is_refused_by_operations_of_other_columns(operation: dict[str, Any], hint: str | None) -> None:
    rows = KnownTable({"city": "string", "spend": "double", "open": None})
    recipe = KnownRecipe(({**operation, "columns": ["city", "open"]},))
    found = recipe_columns.check(recipe, rows, ("city", "spend", "open"), "y", None).problems
    assert [problem.code for problem in found] == ([] if hint is None else ["bad-column"])
    assert hint is None or hint in (found[0].hint or "")


@pytest.mark.parametrize(
    ("given", "task"),
    [
        ({"target": "b"}, "classification"),
        ({"target": "a"}, None),
        ({"target": "a", "target_transform": "log1p"}, "regression"),
        ({"target": "a", "objective": "huber"}, "regression"),
        ({"target": "b", "task": "regression"}, "regression"),
        ({"target": "a", "objective": UNKNOWN}, None),
    ],
)
def test_the_task_follows_from_the_type_of_the_target_and_the_options(given: dict[str, Any], task: str | None) -> None:
    assert learn(algorithm="LightGBM", exclude=["at", "made", "y"], **given)[0].task == task
