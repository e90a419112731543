"""EconML's own estimators for programs: searched by scores of effects, saved as numbers, explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from e2i.errors import StepError
from e2i.estimators import effects, live_effects, scoring
from e2i.estimators.effect_algorithms import AS_NUMBERS, EFFECT_ALGORITHMS, LIVE
from e2i.estimators.effect_scoring import load

dml = pytest.importorskip("econml.dml")
ROWS = 240


def rows(seed: int = 0) -> tuple[pd.DataFrame, Any, Any]:
    r = np.random.default_rng(seed)
    x = pd.DataFrame(r.normal(size=(ROWS, 2)), columns=["calls", "tenure"])
    t = r.binomial(1, 1 / (1 + np.exp(-x.tenure)))
    return x, t, (1 + x.calls) * t + x.tenure + r.normal(size=ROWS)


@pytest.fixture(scope="module", params=["LinearDML", "CausalForest"])
def fitted(request: pytest.FixtureRequest) -> Any:
    x, t, y = rows()
    params = {"n_estimators": 20} if request.param == "CausalForest" else {"cv": 2}
    return live_effects.make(request.param, params, 1, is_discrete=True).fit(y, t, X=x)


def test_an_estimator_is_saved_as_numbers_and_answers_as_before(fitted: Any, tmp_path: Path) -> None:
    x = rows(1)[0]
    folder = effects.save(live_effects.to_effects(fitted, x), tmp_path / "saved")
    found = load(folder, scoring).predict(x)
    low, high = fitted.effect_interval(x, alpha=0.05)
    for name, wanted in (("effect", fitted.effect(x)), ("lower", low), ("upper", high)):
        np.testing.assert_allclose(found[name], np.ravel(wanted), atol=1e-9)
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".npz"}
    with pytest.raises(scoring.ScoringError, match="missing values"):
        load(folder, scoring).predict(x.assign(calls=np.nan))


def test_an_amount_of_treatment_is_saved_too(tmp_path: Path) -> None:
    x, t, y = rows()
    found = live_effects.make("LinearDML", {"cv": 2}, 1, is_discrete=False).fit(y, t * 1.5, X=x)
    saved = effects.save(live_effects.to_effects(found), tmp_path / "saved")
    np.testing.assert_allclose(load(saved, scoring).predict(x)["effect"], np.ravel(found.effect(x)), atol=1e-9)


def test_what_has_no_form_as_numbers_is_refused() -> None:
    with pytest.raises(StepError, match="cannot be saved as numbers"):
        live_effects.to_effects(dml.NonParamDML(model_y=None, model_t=None, model_final=None))


@pytest.mark.parametrize("metric", ["r_score", "dr_score"])
def test_a_right_model_of_effects_scores_higher_than_a_wrong_one(metric: str) -> None:
    class Model:
        def __init__(self, sign: float) -> None:
            self.sign = sign

        def effect(self, x: Any) -> Any:
            return (1 + self.sign * np.asarray(x)[:, 0]).reshape(-1, 1)

        const_marginal_effect = effect

    x, t, y = rows(2)
    judge = live_effects.judge(metric, x, y.to_numpy(), t.astype(float), 1, is_discrete=True)
    assert 1 >= judge(Model(1.0)) > 0 > judge(Model(-1.0))


@pytest.mark.parametrize("name", [name for name in LIVE if name not in AS_NUMBERS])
def test_each_algorithm_of_effects_is_made_scored_and_judged_better_than_one_effect_for_all(name: str) -> None:
    x, t, y = rows(3)
    given = {"n_estimators": 20} if name == "ForestDRLearner" or EFFECT_ALGORITHMS[name].models == "outcomes" else {}
    live_effects.check(name, given)
    fitted = live_effects.make(name, given, 1, is_discrete=True).fit(y, t, X=x)
    held, treated, outcome = rows(4)
    for metric in ("r_score", "dr_score"):
        judge = live_effects.judge(metric, held, outcome.to_numpy(), treated.astype(float), 1, is_discrete=True)
        assert 0 < judge(fitted) < 1
    with pytest.raises(StepError, match=f"{name} has no parameter 'trees'"):
        live_effects.check(name, {"trees": 3})
    assert live_effects.named(fitted) is None
    if not EFFECT_ALGORITHMS[name].amounts:
        with pytest.raises(StepError, match="needs a treatment of 0 and 1"):
            live_effects.make(name, {}, 1, is_discrete=False)


def test_explanations_add_up_to_the_effect(fitted: Any) -> None:
    live = pytest.importorskip("e2i.tools.shap.live")
    from e2i.tools.shap.values import How

    x = rows()[0][:8]
    name = live_effects.named(fitted)
    found = live.explain(fitted, x, How(), hint=name)
    total = found.values[:, :, 0].sum(axis=1) + found.expected[0]
    np.testing.assert_allclose(total, np.ravel(fitted.effect(x)), atol=1e-6)
