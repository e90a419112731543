"""Algorithms of plug-ins and settings are checked, and used like those of e2i."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace

from e2i.catalog.extensible import Named, Preset
from e2i.catalog.plugins import Provided
from e2i.catalog.registry import Registry
from e2i.errors import InvalidSpec
from e2i.estimators import algorithms, extended, fitting, hyperparameters
from e2i.estimators.algorithms import ALGORITHMS
from e2i.spec.problems import Location
from e2i.tools.shap import choice

WHERE = Location("config/default.yaml", 3, 5)
TREE = replace(
    ALGORITHMS["RandomForest"],
    estimator=replace(
        ALGORITHMS["RandomForest"].estimator,
        module="sklearn.tree",
        classes={"classification": "DecisionTreeClassifier"},
        threads="",
    ),
    tasks=("classification",),
    space={},
    params=frozenset(["max_depth"]),
)


def preset(of: str, params: Mapping[str, Any] | None = None, space: Mapping[str, Any] | None = None) -> Preset:
    return Preset(of, params or {}, space, WHERE)


def provided(value: Any) -> Provided:
    return Provided(value, "words", "e2i-words", WHERE)


@pytest.mark.parametrize(
    ("value", "presets", "wrong"),
    [
        ([1], {}, "declares its algorithms as a list, not a mapping"),
        ({"XGBoost": TREE}, {}, 'declares the algorithm "XGBoost", which is the name of another one'),
        ({"a b": TREE}, {}, "'a b', which is not a name"),
        ({"Tree": 1}, {}, 'declares "Tree" as a int, not an Algorithm'),
        ({"Tree": replace(TREE, flavour="torch")}, {}, "flavour 'torch'; choose 'xgboost' or"),
        ({"Tree": replace(TREE, explainer="deep")}, {}, "explainer 'deep'; choose"),
        ({"Tree": replace(TREE, tasks=("regression",))}, {}, "tasks for which its estimator has no class"),
        ({"Tree": replace(TREE, space=ALGORITHMS["Ridge"].space)}, {}, "unknown hyperparameters: alpha"),
        ({}, {"Ridge": preset("XGBoost")}, '"Ridge" is the name of another algorithm'),
        ({}, {"fast": preset("XGBost")}, 'there is no algorithm "XGBost"'),
        ({}, {"fast": preset("XGBoost", {"max_dept": 1})}, 'XGBoost has no hyperparameter "max_dept"'),
        ({"Tree": TREE}, {"fast": preset("Tree", {"depth": 1})}, 'Tree has no hyperparameter "depth"'),
        ({}, {"fast": preset("Ridge", {"alpha": 1}, {"alpha": {}})}, '"alpha" is in `params` and in `space`'),
        ({}, {"fast": preset("Ridge", {}, {"alpha": {"type": "int", "low": 2, "high": 1}})}, "space.alpha"),
    ],
)
def test_a_wrong_declaration_is_an_error_at_the_setting(value: Any, presets: Any, wrong: str) -> None:
    with pytest.raises(InvalidSpec) as found:
        extended.load([provided(value)], presets)
    (problem,) = found.value.problems
    assert wrong in problem.message and problem.location == WHERE


def test_a_preset_of_a_plug_in_trains_and_is_saved_under_the_name_of_its_algorithm() -> None:
    found = extended.load([provided({"Tree": TREE})], {"small": preset("Tree", {"max_depth": 1}), "quick": QUICK})
    small, quick = found["small"], found["quick"]
    assert (small.distribution, quick.distribution) == ("e2i-words", None)
    assert set(quick.about.space) == set(ALGORITHMS["XGBoost"].space) - {"max_depth"}
    x = np.arange(40.0)
    frame = pd.DataFrame({"x": x, "y": ((x // 10) % 2).astype(int)})
    fitted = fitting.fit(fitting.prepare(frame, None, "y", small, task="classification"), {}, seed=1, threads=1).scorer
    assert fitted.native.get_depth() == 1 and fitted.manifest["params"] == {"max_depth": 1}
    assert (fitted.manifest["algorithm"], choice.native_of(fitted.manifest)) == ("Tree", "tree")
    deeper = fitting.fit(
        fitting.prepare(frame, None, "y", small, task="classification"), {"max_depth": 3}, seed=1, threads=1
    ).scorer
    assert deeper.native.get_depth() > 1
    boosted = fitting.fit(
        fitting.prepare(frame, None, "y", quick, task="classification"), {"n_estimators": 2}, seed=1, threads=1
    ).scorer
    assert boosted.manifest["algorithm"] == "XGBoost" and "explainer" not in boosted.manifest
    assert boosted.manifest["params"] == {"max_depth": 2, "n_estimators": 2}
    assert choice.misfit("linear", algorithms.learnt(small)) and not choice.misfit("tree", algorithms.learnt(small))
    assert choice.misfit("linear", "Tree") is None  # of a plug-in that is not listed here: not known
    given = {"algorithm": small, "params": {"max_dept": 1}}
    assert [problem.code for problem in hyperparameters.check(given, "params", task=None)] == ["unknown-hyperparameter"]


QUICK = preset("XGBoost", {"max_depth": 2})


def test_a_registry_has_the_algorithms_of_the_settings() -> None:
    registry = Registry(presets={"quick": QUICK})
    assert registry.names_in("algorithms") == ["quick"] and registry.problems() == []
    assert isinstance(registry.extended("algorithms")["quick"], Named)
    broken = Registry(presets={"quick": preset("Nothing")})
    assert broken.names_in("algorithms") == [] and [name for name, _ in broken.problems()] == ["algorithms"]
