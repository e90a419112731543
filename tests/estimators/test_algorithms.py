"""The registry of algorithms: what it says of each is true of the library, and every part of the engine has its part."""

from __future__ import annotations

from importlib import import_module
from typing import get_args

import pytest

from e2i.estimators import algorithms, library, natives
from e2i.estimators.algorithms import ALGORITHMS, AlgorithmName
from e2i.tools.mlflow import native


def test_the_names_that_a_spec_may_use_are_those_of_the_registry() -> None:
    assert get_args(AlgorithmName)[1].names == tuple(ALGORITHMS)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_the_registry_says_of_an_algorithm_exists(name: str) -> None:
    known = ALGORITHMS[name]
    assert set(known.estimator.classes) == set(known.tasks)
    assert known.space.keys() <= known.params
    module = library.library(known)
    assert {"prepare", "fit", "save", "FILE"} <= set(dir(module))
    assert known.flavour in natives.READERS and known.flavour in native._CONFIGURATIONS
    accepted: set[str] = set()
    for task, kind in known.estimator.classes.items():
        estimator = getattr(import_module(known.estimator.module), kind)()
        assert algorithms.named(estimator) == name, task
        accepted |= set(estimator.get_params())
    if name not in ("LightGBM", "CatBoost"):  # whose estimators take parameters that they do not list
        assert known.params | ({known.estimator.seed} - {""}) | {*known.estimator.settings} <= accepted


def test_an_estimator_of_no_algorithm_has_no_name_and_the_lower_precision() -> None:
    assert algorithms.named(object()) is None
    assert algorithms.precision("Stump") == "float32"
