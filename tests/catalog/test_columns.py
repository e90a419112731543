"""What is said of columns holds however little is known: flows never fail, and never find a fault that is not there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from e2i.catalog.columns import (
    UNKNOWN,
    KnownFolds,
    KnownModel,
    KnownRecipe,
    KnownRepo,
    KnownTable,
    KnownView,
    absent,
    names,
    settled,
)
from e2i.catalog.files import NO_FILES
from e2i.catalog.lineage import Lineage
from e2i.catalog.registry import BUILT_IN

TABLE = KnownTable(
    {"id": "string", "at": "timestamp[us, tz=UTC]", "x": "double", "z": None, "y": "int64"},
    made_from={"y": Lineage.new("z")},
)
PUSHED = KnownTable({"id": "string", "at": "timestamp[us, tz=UTC]", "f": "double", "g": "double"})
KEYED = KnownTable({"id": "string", "since": "timestamp[us, tz=UTC]", "v": "double"})
OUTPUTS = KnownTable({"input": "string", "expected_output": "string", "output": "string"})
MODEL = KnownModel("y", ("x",), "regression")
REPO = KnownRepo({"v": KnownView({"f": "double", "g": None}, ("id",))})
VIEW = {"table": TABLE, "entity": ["e"], "timestamp": "at", "created": "at", "features": {"x": "float64"}}
LEARN = {"target": "y", "features": None, "exclude": ["z"], "task": None, "algorithm": "Ridge"}
RECIPE = KnownRecipe(
    (
        {"op": "dates", "columns": ["at"], "parts": ["month"]},
        {"op": "impute", "types": ["number"], "indicator": True},
        {"op": "one_hot", "types": ["text"]},
        {"op": "scale", "columns": ["x", "x_missing"]},
    )
)
ASK = {"repo": REPO, "features": ["v:f", "v"], "full_feature_names": False}

VALID: dict[str, dict[str, Any]] = {
    "data.load": {
        "path": "t.csv",
        "format": None,
        "columns": ["a"],
        "types": {"a": "string"},
        "parse_dates": ["b"],
        "known_at": {"a": "arrival"},
    },
    "causal.estimate": {
        "table": TABLE,
        "treatment": "y",
        "outcome": "x",
        "effect_modifiers": ["id"],
        "confounders": [],
        "group": "id",
        "decided_at": ["departure"],
        "keep": ["id"],
        "graph": ["id -> y -> x", "id -> x"],
        "unmeasured": [],
        "continuous": False,
    },
    "causal.effects": {"table": TABLE, "keep": ["id"]},
    "causal.validate": {"model": MODEL, "table": TABLE},
    "causal.compare": {"candidates": {"a": MODEL, "b": MODEL}, "table": TABLE},
    "causal.policy": {
        "model": MODEL,
        "table": TABLE,
        "held_out": TABLE,
        "learn_from": TABLE,
        "cost": "x",
        "keep": ["id"],
    },
    "causal.rdd": {"table": TABLE, "running": "x", "outcome": "y", "unchanged": ["z"], "group": "id"},
    "causal.iv": {
        "table": TABLE,
        "treatment": "x",
        "outcome": "y",
        "instruments": ["z"],
        "confounders": ["id"],
        "graph": ["z -> x -> y", "id -> y"],
        "unmeasured": [],
        "group": "id",
    },
    "causal.front_door": {
        "table": TABLE,
        "treatment": "x",
        "outcome": "y",
        "mediators": ["z"],
        "confounders": ["id"],
        "graph": ["x -> z -> y", "x <-> y", "id -> y"],
        "unmeasured": [],
        "group": "id",
    },
    "causal.did": {"table": TABLE, "unit": "id", "time": "at", "outcome": "x", "treatment": "y", "group": "id"},
    "causal.experiment": {
        "table": TABLE,
        "treatment": "y",
        "outcome": "x",
        "covariates": ["id"],
        "time": "at",
        "group": "id",
    },
    "causal.power": {"table": TABLE, "outcome": "x", "covariates": ["id"], "group": "id"},
    "causal.refute": {"table": TABLE, "negative_controls": ["x"]},
    "data.split": {"table": TABLE, "strategy": "time", "by": "at"},
    "data.select": {
        "table": TABLE,
        "columns": ["x"],
        "exclude": [],
        "where": [{"column": "x", "op": "gt", "value": 1}],
    },
    "data.profile": {"table": TABLE, "target": "y", "columns": ["x"]},
    "data.diff": {"before": TABLE, "after": TABLE, "key": ["id", "at"], "exclude": ["z"]},
    "database.read": {"columns": {"a": "integer", "t": "timestamp"}},
    "database.write": {"table": TABLE, "key": ["id"]},
    "dataset.hcp": {"rows": 100},
    "dataset.causaldata": {"name": "nsw"},
    "dataset.nycflights13": {"rows": 100},
    "feast.apply": {
        "entities": {"e": {"join_key": "id"}},
        "views": {"v": VIEW},
        "on_demand": {"d": {"inputs": ["v:x"], "request": {"w": "float64"}, "features": {"r": "float64"}}},
        "services": {"s": ["v:x", "d"]},
    },
    "feast.repository": {"require": ["v:f"]},
    "feast.push": {"repo": REPO, "view": "v", "table": PUSHED},
    "feast.statistics": {"repo": REPO, "view": "v", "table": None, "features": ["f"], "timestamp": None},
    "feast.historical_features": {**ASK, "table": TABLE, "timestamp": "at", "keep": ["id", "y"]},
    "feast.materialize": {"repo": REPO, "views": ["v"]},
    "feast.online_features": {**ASK, "entities": [{"id": "a"}], "table": None},
    "great_expectations.validate": {
        "table": TABLE,
        "where": (),
        "suite": [{"type": "expect_compound_columns_to_be_unique", "column_list": ["x", "id"]}],
        "fail_on": "critical",
        "on_failure": "quarantine",
        "reason_column": "why",
        "problem_type": None,
        "target": "y",
    },
    "great_expectations.profile": {"table": TABLE, "key": ["id"], "exclude": ("z",)},
    "great_expectations.validate_source": {"suite": [], "on_failure": "quarantine", "problem_type": None},
    "model.train": {**LEARN, "table": TABLE, "validation": TABLE, "params": {"alpha": 1}, "prepare": RECIPE},
    "model.evaluate": {"model": MODEL, "table": TABLE, "by": ["x"], "group": "id", "at_most": {"rmse": 3}},
    "model.errors": {"model": MODEL, "table": TABLE, "columns": ["x"], "metric": "mae", "group": "id"},
    "model.fairness": {"model": MODEL, "table": TABLE, "by": ["x"], "at_least": {"mae_ratio": 0.8}, "group": "id"},
    "model.learning_curve": {
        **LEARN,
        "table": TABLE,
        "validation": TABLE,
        "held_out": TABLE,
        "exclude": ["id", "at", "z"],
        "params": {"alpha": 1},
        "shares": [0.5, 1.0],
        "metric": "rmse",
        "group": "id",
    },
    "model.validation_curve": {
        **LEARN,
        "table": TABLE,
        "validation": TABLE,
        "params": {},
        "held_out": TABLE,
        "exclude": ["id", "at", "z"],
        "parameter": "alpha",
        "values": [0.1, 1],
        "metric": "rmse",
        "group": "id",
    },
    "model.card": {"model": MODEL, "training": TABLE, "test": TABLE, "intended_use": "to test"},
    "model.compare": {
        "models": {"new": MODEL, "old": MODEL},
        "table": TABLE,
        "reference": "new",
        "metric": "rmse",
        "group": "id",
    },
    "model.ensemble": {"models": {"new": MODEL, "old": MODEL}, "weights": {"new": 1, "old": 2}, "metric": "rmse"},
    "model.calibrate": {"model": KnownModel("y", ("x",), "classification"), "table": TABLE},
    "model.threshold": {"model": KnownModel("y", ("x",)), "table": TABLE, "costs": {"fp": 1, "fn": "x"}},
    "model.conformal": {"model": MODEL, "table": TABLE, "level": 0.9, "by": "x"},
    "model.predict": {"model": MODEL, "table": TABLE, "keep": ["id"], "intervals": True},
    "model.select": {
        "candidates": [{"matrix": {"a": 1}, "outputs": {"model": MODEL}}, {"model": MODEL}],
        "table": TABLE,
    },
    "data.folds": {"table": TABLE, "strategy": "group_time", "by": "id", "time": "at", "target": None},
    "model.cross_validate": {
        **LEARN,
        "table": TABLE,
        "folds": KnownFolds("id", "at"),
        "params": {"alpha": 1},
        "exclude": ["id", "at", "z"],
        "metrics": ["rmse"],
        "search": {"trials": 5, "metric": "rmse", "space": {"tol": {"type": "float", "low": 0.001, "high": 0.1}}},
    },
    "prepare.recipe": {"steps": [*RECIPE.steps]},
    "prepare.preview": {"table": TABLE, "recipe": RECIPE, "target": "y", "features": None, "exclude": ["z"]},
    "optuna.tune": {
        **LEARN,
        "prepare": RECIPE,
        "train": TABLE,
        "validation": TABLE,
        "space": {
            "alpha": {"type": "float", "low": 1, "high": 2, "when": {"positive": [True], "fit_intercept": True}},
            "positive": {"type": "categorical", "choices": [True, False]},
        },
        "fixed": {"fit_intercept": True},
        "metric": None,
        "direction": None,
        "metrics": [{"name": "rmse"}, {"name": "mae"}],
        "choose": {"rule": "constraint", "best": "rmse", "at_most": {"mae": 1.0}},
        "sampler": "tpe",
        "pruner": "none",
        "stop": {"no_improvement": 3, "target": {"mae": 0.5}},
        "warm_start": ["earlier"],
    },
    "python.call": {
        "file": "steps.py",
        "function": "f",
        "arguments": {"rows": TABLE, "least": [1, {"a": None}]},
        "outputs": {"rows": "integer", "table": ["id"], "typed": {"id": "string"}},
        "reads": ["data/*.csv"],
    },
    "shap.explain": {"model": MODEL, "table": TABLE, "background": None},
    "bentoml.package": {"model": MODEL},
    "bentoml.serve": {"bento": MODEL},
    "bentoml.predict": {
        "service": None,
        "endpoint": MODEL,
        "table": TABLE,
        "input": None,
        "model": MODEL,
        "key": "id",
        "keep": ["x"],
    },
    "bentoml.deploy": {"bento": MODEL, "reference": TABLE},
    "bentoml.update_traffic": {"endpoint": MODEL, "bento": MODEL},
    "bentoml.rollback": {"endpoint": MODEL, "to": MODEL},
    "bentoml.metrics": {"endpoint": MODEL},
    "mlflow.register": {"model": MODEL},
    "mlflow.promote": {"version": MODEL, "if_better": None},
    "mlflow.find": {"name": "m", "missing": None},
    "mlflow.compare": {"model": MODEL, "name": "m", "table": TABLE, "no_champion": "better"},
    "opik.evaluate": {"table": OUTPUTS, "task": None, "metrics": ["equals"], "scorer": None},
    "mlflow.load": {"name": "m", "missing": None},
    "dataset.nycflights13_tables": {},
    "sql.query": {"query": "SELECT id, y FROM t WHERE y > $least", "tables": {"t": TABLE}, "params": {"least": 1}},
    "table.join": {"left": TABLE, "right": KEYED, "on": ["id"], "how": "left", "expect": "one", "suffix": None},
    "table.asof": {
        "left": TABLE,
        "right": KEYED,
        "by": {"id": "id"},
        "left_time": "at",
        "right_time": "since",
        "tolerance": "1d",
        "strict": True,
        "suffix": None,
    },
    "table.stack": {"tables": [TABLE, TABLE], "missing": "fail"},
    "table.aggregate": {
        "table": TABLE,
        "by": ["id"],
        "columns": {"n": {"fn": "sum", "of": "x", "where": [{"column": "at", "op": "gt", "value": "2024-01-01"}]}},
    },
    "table.window": {
        "table": TABLE,
        "by": ["id"],
        "order": ["at"],
        "columns": {"n": {"fn": "sum", "of": "x", "range": "1d"}},
        "include_current": False,
    },
    "table.pivot": {
        "table": TABLE,
        "by": ["id"],
        "column": "y",
        "values": [1, 2],
        "fn": "sum",
        "of": "x",
        "prefix": "p",
    },
    "table.unpivot": {"table": TABLE, "columns": ["x", "y"], "keep": None, "name": "name", "value": "value"},
    "table.dedupe": {"table": TABLE, "by": ["id"], "order": ["at"], "keep": "first"},
    "table.derive": {"table": TABLE, "columns": {"n": "x * 2"}},
    "table.dates": {"table": TABLE, "column": "at", "parts": ["year"], "cyclic": ["hour"], "holidays": ()},
    "table.sort": {"table": TABLE, "by": ["id", "x"], "descending": ["x"]},
    "table.rename": {"table": TABLE, "columns": {"x": "n"}},
    "table.cast": {"table": TABLE, "columns": {"x": "string"}, "errors": "fail"},
    "table.fill": {"table": TABLE, "columns": {"x": 1.0}},
    "table.sample": {"table": TABLE, "by": ["id"], "fraction": 0.5, "seed": 1},
}


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, item in inner:
        yield (*path, key)
        yield from paths(item, (*path, key))


def without(value: Any, path: tuple[Any, ...]) -> Any:
    """The value with what stands at the path not known."""
    if not path:
        return UNKNOWN
    if isinstance(value, dict):
        return {key: without(item, path[1:]) if key == path[0] else item for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without(item, path[1:]) if index == path[0] else item for index, item in enumerate(value)]
    return value


def test_every_flow_is_tried_here() -> None:
    assert {name for name in BUILT_IN.names() if BUILT_IN.column_flow(name)} == set(VALID)


@pytest.mark.parametrize("action", VALID)
def test_no_fault_is_found_however_little_is_known(action: str) -> None:
    flow, given = BUILT_IN.column_flow(action), VALID[action]
    assert flow is not None
    whole = flow(given, NO_FILES)
    assert list(whole.problems) == []
    for first, second in itertools.combinations_with_replacement(list(paths(given)), 2):
        less = flow(without(without(given, first), second), NO_FILES)
        assert list(less.problems) == [], (first, second)
        for name, known in less.outputs.items():
            if isinstance(known, KnownTable) and isinstance(now := whole.outputs.get(name), KnownTable):
                assert list(known.columns) == list(now.columns), (first, second)


def test_names_are_found_in_every_form_a_parameter_may_have() -> None:
    assert list(names(("a",), "x")) == [(("a",), "x")]
    assert list(names(("a",), ["x", UNKNOWN, "y"])) == [(("a", 0), "x"), (("a", 2), "y")]
    assert list(names(("a",), {"x": 1})) == [(("a", "x"), "x")]
    assert list(names(("a",), UNKNOWN)) == list(names(("a",), None)) == []


def test_a_missing_column_is_a_fault_only_of_a_known_table() -> None:
    (problem,) = absent(TABLE, ("by",), "idd")
    assert (problem.code, problem.name, tuple(problem.known)) == ("unknown-column", "idd", ("id", "at", "x", "z", "y"))
    assert list(absent(UNKNOWN, ("by",), "idd")) == list(absent(TABLE, ("by",), UNKNOWN)) == []


def test_what_gives_a_column_away_is_lost_with_the_column() -> None:
    assert TABLE.gives_away("y") == ("z",)
    assert TABLE.without(["z"]).gives_away("y") == ()
    assert TABLE.only(["y", "z"]).gives_away("z") == ("y",)


def test_what_is_settled() -> None:
    assert settled({"a": [1, {"b": None}]})
    assert not settled({"a": [1, {"b": UNKNOWN}]})


def table(*choices: tuple[str, str], origin: str = "data.table") -> KnownTable:
    found = KnownTable({"a": "int64"}).from_origin(origin)
    for key, part in choices:
        found = found.chosen(key, part).from_origin(f"{key}.{part}")
    return found


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (table(), table(), True),
        (table(), table(origin="other.table"), False),
        (table(("s", "train")), table(("s", "test")), False),
        (table(("s", "train")), table(("s", "train")), True),
        (table(("s", "train")), table(), True),
        (table(("s", "train")), table(("t", "test")), True),
        (table(("s", "train"), ("f", "")), table(("s", "train")), True),
        (table(("s", "train"), ("f", "")), table(("s", "test")), False),
        (table(("f", "")), table(("g", "")), False),
        (table(("f", "")), table(("s", "test")), False),
        (table(("f", ""), ("s", "train")), table(("f", ""), ("s", "test")), False),
        (table(("f", ""), ("s", "train")), table(("f", ""), ("t", "test")), True),
        (table(("s", "train"), ("u", "train")), table(("s", "test"), ("u", "train")), False),
        (KnownTable({}), KnownTable({}), False),
    ],
)
def test_rows_overlap_only_when_it_is_certain(one: KnownTable, other: KnownTable, overlap: bool) -> None:
    assert one.rows.overlap(other.rows) is overlap
    assert other.rows.overlap(one.rows) is overlap
