"""Searches over the choices of a recipe: each trial is that of the recipe with its choices, fitted in each split."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from context import LocalContext
from e2i.errors import StepError
from e2i.estimators import recipe_choices, saved
from e2i.tools.data.actions import folds
from e2i.tools.data.folding import FoldsParams
from e2i.tools.model.actions import cross_validate, train
from e2i.tools.model.params.training import CrossValidateParams, TrainParams
from e2i.tools.optuna import TuneParams
from e2i.tools.optuna.actions import tune
from e2i.tools.prepare import RecipeParams
from e2i.tools.prepare.actions import recipe
from learning import others, table

STEPS: list[Any] = [
    {"op": "impute", "types": ["number"]},
    {"op": "target_encode", "columns": ["kind"]},
    {"op": "select", "k": 2},
]
SPACE: dict[str, Any] = {
    "C": {"type": "float", "low": 0.01, "high": 1.0},
    "prepare.steps.0.strategy": {"type": "categorical", "choices": ["median", "mean"]},
    "prepare.steps.2.use": {"type": "categorical", "choices": [True, False]},
    "prepare.steps.2.k": {"type": "int", "low": 1, "high": 4, "when": {"prepare.steps.2.use": True}},
}


def test_trials_are_those_of_the_recipes_with_their_choices(ctx: LocalContext) -> None:
    rows, held_out = ctx.table(table(200)), ctx.table(table(100, seed=1))
    prepare = recipe(RecipeParams(steps=STEPS), ctx).recipe
    made = folds(FoldsParams(table=rows, strategy="kfold", folds=3), ctx).folds
    about: dict[str, Any] = {"target": "binary", "exclude": others("binary"), "algorithm": "LogisticRegression"}
    more = {**about, "train": rows, "prepare": prepare, "space": SPACE, "metric": "log_loss", "trials": 6}
    in_folds = asyncio.run(tune(TuneParams(**more, folds=made, study="folds"), ctx))
    by_rows = asyncio.run(tune(TuneParams(**more, validation=held_out, study="rows"), ctx))
    used = set()
    for found, is_crossed in ((in_folds, True), (by_rows, False)):
        trials = ctx.frame(found.trials)
        for trial in trials.to_dict("records"):
            chosen = {name: trial[f"params_{name}"] for name in SPACE if name != "C"}
            if not chosen["prepare.steps.2.use"]:
                assert np.isnan(chosen.pop("prepare.steps.2.k")), "searched only where the step is used"
            elif "prepare.steps.2.k" in chosen:
                chosen["prepare.steps.2.k"] = int(chosen["prepare.steps.2.k"])
            used.add(chosen["prepare.steps.2.use"])
            own = recipe_choices.chosen(prepare, chosen)
            given = {**about, "table": rows, "prepare": own, "params": {"C": trial["params_C"]}}
            if is_crossed:
                value = cross_validate(CrossValidateParams(**given, folds=made), ctx).metrics["log_loss"].mean
            else:
                value = train(TrainParams(**given, validation=held_out), ctx).metrics["validation_log_loss"]
            assert trial["value"] == pytest.approx(value, abs=1e-9)
        assert set(found.best_params) == {"C"} and found.best_recipe is not None
        again = train(TrainParams(**about, table=rows, prepare=found.best_recipe, params=found.best_params), ctx)
        new = table(50, seed=2)
        ours, theirs = (saved.open_model(model, ctx).predict(new) for model in (found.model, again.model))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    assert used == {True, False}


def test_choices_that_a_recipe_does_not_have_are_refused(ctx: LocalContext) -> None:
    for name, value, said in (
        ("prepare.steps.0.strategy", "middle", "impute does not take 'middle' as `strategy`"),
        ("prepare.steps.0.k", 1, "impute has no parameter `k`"),
        ("prepare.steps.7.k", 1, "the recipe has 3 steps"),
        ("prepare.steps.2.use", 1, "`use` is true or false"),
        ("prepare.steps.2.op", "scale", "`op` of select cannot be searched"),
        ("prepare.k", 1, 'named as in "prepare.steps.0.strategy"'),
    ):
        assert said in str(recipe_choices.fault(STEPS, name, value))
    assert recipe_choices.fault(STEPS, "prepare.steps.2.k", 3) is None
    assert recipe_choices.misspelt(STEPS, "prepare.steps.0.stategy") == 'did you mean "strategy"?'
    assert recipe_choices.misspelt(STEPS, "prepare.steps.2.size") == "choose from: k, score, use"
    assert recipe_choices.misspelt(STEPS, "prepare.steps.0.strategy") is None
    given = {"train": ctx.table(table(50)), "validation": ctx.table(table(50, seed=1)), "target": "binary"}
    space = {"prepare.steps.0.k": {"type": "int", "low": 1, "high": 2}}
    with pytest.raises(StepError, match="is a choice of a recipe, and there is none"):
        asyncio.run(tune(TuneParams(**given, space=space, exclude=others("binary")), ctx))


def test_a_nested_search_chooses_the_recipe_within_each_split(ctx: LocalContext) -> None:
    rows = ctx.table(table(200))
    prepare = recipe(RecipeParams(steps=STEPS), ctx).recipe
    made = folds(FoldsParams(table=rows, strategy="stratified", target="binary", folds=3), ctx).folds
    about: dict[str, Any] = {"target": "binary", "exclude": others("binary"), "algorithm": "LogisticRegression"}
    about |= {"table": rows, "prepare": prepare}
    search = {"trials": 6, "inner_folds": 2, "space": SPACE, "metric": "log_loss"}
    found = cross_validate(CrossValidateParams(**about, folds=made, search=search), ctx)
    for number, searched in enumerate(found.searched):
        params, choices = recipe_choices.split(searched)
        own = {**about, "prepare": recipe_choices.chosen(prepare, choices), "params": params}
        plain = cross_validate(CrossValidateParams(**own, folds=made), ctx)
        assert plain.metrics["log_loss"].folds[number] == found.metrics["log_loss"].folds[number]
    assert found.best_recipe is not None and set(found.best_params) == {"C"}
    whole = train(TrainParams(**{**about, "prepare": found.best_recipe, "params": found.best_params}), ctx)
    assert whole.model.digest == found.model.digest
    used = [one["prepare.steps.2.use"] for one in found.searched]
    assert all(("prepare.steps.2.k" in one) == use for one, use in zip(found.searched, used, strict=True))


def test_a_nested_search_refuses_a_choice_that_the_recipe_does_not_have(ctx: LocalContext) -> None:
    rows = ctx.table(table(60))
    prepare = recipe(RecipeParams(steps=STEPS), ctx).recipe
    made = folds(FoldsParams(table=rows, strategy="kfold", folds=2), ctx).folds
    space = {"prepare.steps.2.k": {"type": "int", "low": 0, "high": 0}}
    about: dict[str, Any] = {"target": "binary", "exclude": others("binary"), "algorithm": "LogisticRegression"}
    search = {"trials": 1, "inner_folds": 2, "space": space}
    with pytest.raises(StepError, match="does not take"):
        cross_validate(CrossValidateParams(**about, table=rows, folds=made, prepare=prepare, search=search), ctx)
