"""optuna.tune for effects: on tables whose effect is known, against formulas by hand and EconML's own scorer."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import numpy as np
import pandas as pd
import pytest
from econml.grf import CausalForest, RegressionForest
from econml.score import RScorer
from pydantic import ValidationError

from context import LocalContext
from e2i.catalog.columns import KnownKeys, KnownModel, KnownTable
from e2i.catalog.files import NO_FILES
from e2i.errors import StepError
from e2i.estimators import effects
from e2i.tools.causal import EstimateParams
from e2i.tools.causal.actions import estimate
from e2i.tools.causal.crossfit import Nuisances
from e2i.tools.causal.forest_settings import SETTINGS
from e2i.tools.causal.question import Question, ask
from e2i.tools.data.actions import folds
from e2i.tools.data.folding import FoldsParams
from e2i.tools.optuna import TuneOutputs, TuneParams, columns, effect_objective, effect_space
from e2i.tools.optuna.actions import tune
from e2i.tools.optuna.effect_objective import EffectRows, Judge
from e2i.tools.optuna.effect_parameters import ESTIMATORS

RIDGE = {"algorithm": "Ridge"}
LOGISTIC = {"algorithm": "LogisticRegression"}
QUESTION: dict[str, Any] = {
    "treatment": "t",
    "effect_modifiers": ["x"],
    "confounders": ["w"],
    "outcome_model": RIDGE,
    "treatment_model": LOGISTIC,
    "folds": 2,
}
LEAVES = {"min_samples_leaf": {"type": "categorical", "choices": [5, 150]}}


def rows(count: int, seed: int = 1) -> pd.DataFrame:
    """Return rows of entities of two; the effect is 2 for x above 0, otherwise 0."""
    r = np.random.default_rng(seed)
    x, w = r.normal(size=count), r.normal(size=count)
    t = r.binomial(1, 1 / (1 + np.exp(-w)))
    y = 2.0 * (x > 0) * t + w + r.normal(size=count)
    return pd.DataFrame(
        {"x": x, "w": w, "t": t, "y": y, "dose": t + r.normal(size=count), "who": np.arange(count) // 2}
    )


def run(ctx: LocalContext, question: dict[str, Any] | None = None, **params: Any) -> TuneOutputs:
    frame = rows(1600)
    given = {
        "target": "y",
        "algorithm": "CausalForest",
        "space": LEAVES,
        "trials": 4,
        "sampler": "grid",
        "plots": False,
    }
    given |= {"effect": {**QUESTION, **(question or {})}, "fixed": {"n_estimators": 40}, **params}
    if "folds" not in given:
        given.setdefault("validation", ctx.table(frame[1000:]))
    return asyncio.run(tune(TuneParams(**{"train": ctx.table(frame[:1000]), **given}), ctx))


def test_the_search_takes_the_setting_that_finds_for_whom_the_effect_is(ctx: LocalContext) -> None:
    found = run(ctx)
    values = found.trials
    frame = ctx.frame(values)
    by_leaf = dict(zip(frame["params_min_samples_leaf"], frame["value"], strict=True))
    assert found.best_params == {"n_estimators": 40, "min_samples_leaf": max(by_leaf, key=lambda leaf: by_leaf[leaf])}
    assert found.best_value == max(by_leaf.values()) == ctx.metrics["best_r_score"]
    assert 0 < found.best_value < 1


def test_the_best_trial_is_what_causal_estimate_takes_and_gives_the_same_model(ctx: LocalContext) -> None:
    found = run(ctx)
    assert found.best_estimate is not None
    best = found.best_estimate.model_dump()
    train = ctx.table(rows(1600)[:1000])
    asked = EstimateParams(
        table=train, outcome="y", treatment="t", effect_modifiers=("x",), confounders=("w",), folds=2, **best
    )
    held = rows(300, seed=9)
    own, again = (effects.open_effects(one, ctx).effect(held)[0] for one in (found.model, estimate(asked, ctx).model))
    assert np.array_equal(own, again)


def question_of(frame: pd.DataFrame, ctx: LocalContext) -> Question:
    asked = EstimateParams(table=ctx.table(frame), treatment="t", outcome="y", effect_modifiers=("x",))
    return ask(frame, asked)


def test_r_score_equals_that_of_econml_for_the_same_residuals(ctx: LocalContext) -> None:
    frame = rows(400)
    question = question_of(frame, ctx)
    scorer = RScorer(model_y="linear", model_t="linear", discrete_treatment=False, cv=2, random_state=3)
    scorer.fit(frame["y"].to_numpy(), frame["t"].to_numpy(), X=frame[["x", "w"]].to_numpy())
    y_rest, t_rest = (np.ravel(one) for one in scorer.lineardml_._cached_values.nuisances)
    expected = question.outcome - y_rest
    found = Nuisances(question.treatment - t_rest, expected, expected, 0)
    effect = 2.0 * (frame["x"].to_numpy() > 0)

    class Known:
        def const_marginal_effect(self, rows: Any) -> Any:
            return effect.reshape(-1, 1, 1)

    assert Judge(frame, question, found).score("r_score", effect) == pytest.approx(scorer.score(Known()), abs=1e-9)


def test_dr_score_is_the_share_of_the_scores_variance_that_effects_explain(ctx: LocalContext) -> None:
    frame = rows(400)
    question = question_of(frame, ctx)
    found = Nuisances(np.full(400, 0.5), np.zeros(400), np.ones(400), 0)
    t, y = question.treatment, question.outcome
    scores = 1 + t * (y - 1) / 0.5 - (1 - t) * y / 0.5
    effect = 2.0 * (frame["x"].to_numpy() > 0)
    wanted = 1 - np.mean((scores - effect) ** 2) / np.var(scores)
    judge = Judge(frame, question, found)
    assert judge.score("dr_score", effect) == pytest.approx(wanted, abs=1e-12)
    assert judge.score("dr_score", np.full(400, scores.mean())) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_is_searched_over_its_models(ctx: LocalContext, estimator: str) -> None:
    confounders = [] if estimator in ("SLearner", "TLearner", "XLearner") else ["w"]
    question = {"confounders": confounders, "effect_modifiers": ["x"] if confounders else ["x", "w"]}
    space = {"outcome_model.alpha": {"type": "categorical", "choices": [0.1, 10.0]}}
    fixed = {"n_estimators": 20} if estimator in SETTINGS else {}
    found = run(ctx, question, algorithm=estimator, space=space, fixed=fixed, metric="dr_score")
    assert found.best_estimate is not None
    assert found.best_estimate.outcome_model.params == {"alpha": found.best_params["outcome_model.alpha"]}
    assert found.best_estimate.estimator == found.model.estimator == estimator


def test_trials_with_the_same_models_fit_them_once(ctx: LocalContext, monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[int] = []
    own = effect_objective.cross_fit

    def counted(question: Question, *rest: Any) -> Nuisances:
        fits.append(question.rows)
        return own(question, *rest)

    monkeypatch.setattr(effect_objective, "cross_fit", counted)
    run(ctx, space={"min_samples_leaf": {"type": "int", "low": 5, "high": 80}}, sampler="random", trials=8)
    assert sorted(fits) == [600, 1000]  # once to judge, and once to learn


def test_judges_and_learners_know_no_row_of_a_judged_entity(ctx: LocalContext) -> None:
    frame = rows(1000)
    table = ctx.table(frame)
    by_who = folds(FoldsParams(table=table, strategy="group", by="who", folds=3), ctx).folds
    params = TuneParams(
        train=table, folds=by_who, target="y", algorithm="CausalForest", effect={**QUESTION, "group": "who"}
    )
    assert params.effect is not None
    parts = EffectRows(params, params.effect, ctx).parts
    assert len(parts) == 3
    judged = np.concatenate([part.judge.question.kept for part in parts])
    assert sorted(judged) == list(range(1000))
    for part in parts:
        learned = set(frame["y"]) - set(part.judge.frame["y"])
        assert set(part.question.outcome) == learned
        others = frame[frame["y"].isin(part.question.outcome)]
        assert not set(others["who"]) & set(part.judge.frame["who"])


def test_rows_of_one_entity_on_both_sides_are_refused(ctx: LocalContext) -> None:
    frame = rows(1600)
    with pytest.raises(StepError, match="both in `train` and in `validation`") as caught:
        run(ctx, {"group": "who"}, train=ctx.table(frame[:1001]), validation=ctx.table(frame[1001:]))
    assert caught.value.code == "bad-group"
    with pytest.raises(StepError, match="not by the entity 'who'"):
        table = ctx.table(frame)
        run(
            ctx,
            {"group": "who"},
            train=table,
            folds=folds(FoldsParams(table=table, strategy="kfold", folds=3), ctx).folds,
        )


def test_folds_prune_a_trial_after_a_split(ctx: LocalContext) -> None:
    table = ctx.table(rows(1200))
    made = folds(FoldsParams(table=table, strategy="kfold", folds=3), ctx).folds
    space = {"min_samples_leaf": {"type": "int", "low": 2, "high": 150}}
    found = run(ctx, train=table, folds=made, pruner="median", space=space, sampler="random", trials=16, parallel=1)
    assert set(ctx.frame(found.trials)["state"]) == {"complete", "pruned"}


def test_no_heterogeneity_is_said(ctx: LocalContext) -> None:
    frame = rows(1600)
    frame["y"] = frame["t"] + frame["w"] + np.random.default_rng(4).normal(size=1600)
    space = {"min_samples_leaf": {"type": "categorical", "choices": [2, 3]}}
    found = run(ctx, train=ctx.table(frame[:1000]), validation=ctx.table(frame[1000:]), space=space)
    assert found.best_value < 0
    assert any("do not show for whom the effect is larger" in warning for warning in ctx.warned)


def test_an_amount_is_searched_by_r_score(ctx: LocalContext) -> None:
    question = {"treatment": "dose", "continuous": True, "treatment_model": RIDGE}
    assert run(ctx, question).best_values.keys() == {"r_score"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"effect": None}, "CausalForest estimates an effect"),
        ({"algorithm": "XGBoost"}, "XGBoost does not estimate effects"),
        ({"algorithm": "XGBoost", "effect": None, "metric": "r_score"}, "there is no `effect`"),
        ({"metric": "rmse"}, "rmse judges predictions"),
        ({"direction": "minimize"}, "better when they are higher"),
        ({"features": ("x",)}, "`features` is for predictions"),
        ({"effect": {**QUESTION, "continuous": True}, "metric": "dr_score"}, "dr_score needs a treatment of two"),
        ({"algorithm": "DRLearner", "effect": {**QUESTION, "continuous": True}}, "needs a treatment of two values"),
        ({"algorithm": "TLearner"}, "Move `confounders`"),
        ({"algorithm": "OrthoIV"}, "Input should be"),
    ],
)
def test_what_does_not_go_together_is_refused(ctx: LocalContext, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        run(ctx, **given)


def test_the_settings_are_those_of_the_library() -> None:
    fixed = {"self", "n_jobs", "random_state", "verbose", "warm_start", "inference"}
    for name, kind in (("CausalForest", CausalForest), ("ForestDRLearner", RegressionForest)):
        assert SETTINGS[name] == set(inspect.signature(kind.__init__).parameters) - fixed


@pytest.mark.parametrize("name", ["CausalForest", "LinearDML"])
def test_the_default_space_has_no_problem_and_its_trials_are_completed(ctx: LocalContext, name: str) -> None:
    space = effect_space.default(name, {"outcome_model": None, "treatment_model": None})
    given = {"algorithm": name, "effect": QUESTION | {"outcome_model": None, "treatment_model": None}, "fixed": {}}
    shown = {key: one.model_dump() for key, one in space.items()}
    assert list(effect_space.check({**given, "space": shown, "sampler": "tpe"})) == []
    models = {"outcome_model": None, "treatment_model": None}
    found = run(ctx, models, algorithm=name, space=None, fixed={}, sampler="random", trials=2)
    assert list(ctx.frame(found.trials)["state"]) == ["complete", "complete"]


def test_the_plan_knows_the_columns_and_keys_that_the_run_makes(ctx: LocalContext) -> None:
    frame = rows(1600)
    found = run(ctx)
    known = KnownTable(dict.fromkeys(frame.columns, "double"))
    given = TuneParams(
        train=ctx.table(frame[:1000]),
        validation=ctx.table(frame[1000:]),
        target="y",
        algorithm="CausalForest",
        space=LEAVES,
        fixed={"n_estimators": 40},
        effect=QUESTION,
    ).model_dump()
    flow = columns.tune({**given, "train": known, "validation": known}, NO_FILES)
    assert [problem.code for problem in flow.problems] == []
    for name in ("trials", "front"):
        planned = flow.outputs[name]
        assert isinstance(planned, KnownTable)
        assert tuple(planned.columns) == getattr(found, name).names
    assert flow.outputs["best_params"] == KnownKeys(tuple(found.best_params))
    model = flow.outputs["model"]
    assert isinstance(model, KnownModel)
    assert (model.task, model.target, model.features) == ("effect", "y", found.model.features)
