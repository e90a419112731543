"""What is said of columns holds however little is known: flows never fail, and never find a fault that is not there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from e2i.catalog import registry
from e2i.catalog.columns import UNKNOWN, KnownModel, KnownRepo, KnownTable, KnownView, absent, names, settled
from e2i.catalog.files import NO_FILES

TABLE = KnownTable(
    {"id": "string", "at": "timestamp[us, tz=UTC]", "x": "double", "z": None, "y": "int64"}, made_from={"y": "z"}
)
MODEL = KnownModel("y", ("x",), "regression")
REPO = KnownRepo({"v": KnownView({"f": "double", "g": None}, ("id",))})
VIEW = {"table": TABLE, "entity": ["e"], "timestamp": "at", "created": "at", "features": {"x": "float64"}}
LEARN = {"target": "y", "features": None, "exclude": ["id", "at", "z"], "task": None, "algorithm": "Ridge"}
ASK = {"repo": REPO, "features": ["v:f", "v"], "full_feature_names": False}

VALID: dict[str, dict[str, Any]] = {
    "data.load": {"path": "t.csv", "format": None, "columns": ["a"], "types": {"a": "string"}, "parse_dates": ["b"]},
    "data.split": {"table": TABLE, "strategy": "time", "by": "at"},
    "data.select": {
        "table": TABLE,
        "columns": ["x"],
        "exclude": [],
        "where": [{"column": "x", "op": "gt", "value": 1}],
    },
    "database.read": {"columns": {"a": "integer", "t": "timestamp"}},
    "database.write": {"table": TABLE, "key": ["id"]},
    "dataset.hcp": {"rows": 100},
    "dataset.nycflights13": {"rows": 100},
    "feast.apply": {"entities": {"e": {"join_key": "id"}}, "views": {"v": VIEW}},
    "feast.historical_features": {**ASK, "table": TABLE, "timestamp": "at", "keep": ["id", "y"]},
    "feast.materialize": {"repo": REPO, "views": ["v"]},
    "feast.online_features": {**ASK, "entities": [{"id": "a"}], "table": None},
    "great_expectations.validate": {
        "table": TABLE,
        "where": (),
        "suite": [{"type": "expect_compound_columns_to_be_unique", "column_list": ["x", "id"]}],
        "fail_on": "critical",
    },
    "model.train": {**LEARN, "table": TABLE, "validation": TABLE},
    "model.evaluate": {"model": MODEL, "table": TABLE},
    "model.predict": {"model": MODEL, "table": TABLE, "keep": ["id"]},
    "model.select": {
        "candidates": [{"matrix": {"a": 1}, "outputs": {"model": MODEL}}, {"model": MODEL}],
        "table": TABLE,
    },
    "optuna.tune": {**LEARN, "train": TABLE, "validation": TABLE, "space": {"a": {"low": 1}}, "fixed": {"b": 1}},
    "shap.explain": {"model": MODEL, "table": TABLE, "background": None},
    "bentoml.package": {"model": MODEL},
    "bentoml.serve": {"bento": MODEL},
    "bentoml.predict": {"service": MODEL, "table": None, "input": [{"x": 1}], "model": MODEL},
    "mlflow.register": {"model": MODEL},
    "mlflow.promote": {"version": MODEL},
    "mlflow.load": {"name": "m", "missing": None},
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
    assert {name for name in registry.names() if registry.column_flow(name)} == set(VALID)


@pytest.mark.parametrize("action", VALID)
def test_no_fault_is_found_however_little_is_known(action: str) -> None:
    flow, given = registry.column_flow(action), VALID[action]
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
