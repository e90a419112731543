"""Further estimators of effects: sparse, meta-learners, instruments, several values of a treatment."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from called import LOGIT, ask, data
from context import LocalContext
from e2i.catalog.registry import BUILT_IN
from e2i.errors import StepError
from e2i.tools.causal import actions

FOREST = {"outcome_model": {"algorithm": "LightGBM", "params": {"n_estimators": 20}}, "treatment_model": LOGIT}
ALL = {"effect_modifiers": ["share", "segment", "size"], "confounders": []}


def offered(rows: int = 4000, seed: int = 0) -> pd.DataFrame:
    """An offer at random is taken by more of those with ``eager``, whom nobody measured; the effect is 1 + share."""
    r = np.random.default_rng(seed)
    share, size, eager = r.normal(size=rows), r.normal(size=rows), r.normal(size=rows)
    offer = r.binomial(1, 1 / (1 + np.exp(-0.5 * size)))
    called = ((0.9 * offer + 0.5 * eager + 0.3 * r.normal(size=rows)) > 0.5).astype(int)
    sales = (1 + share) * called + 2 * eager + size + r.normal(size=rows)
    return pd.DataFrame({"share": share, "size": size, "offer": offer, "called": called, "sales": sales})


@pytest.mark.parametrize("estimator", ["SLearner", "TLearner", "XLearner"])
def test_a_meta_learner_is_saved_as_the_models_of_its_libraries_and_has_no_intervals_by_row(
    ctx: LocalContext, estimator: str
) -> None:
    frame = data(1200)
    found = ask(ctx, frame, estimator=estimator, **ALL, **FOREST)
    by_row = ctx.frame(found.effects)
    assert np.corrcoef(by_row["effect"], frame["true"])[0, 1] > 0.7
    assert by_row["effect_low"].isna().all() and found.effect.low < frame["true"].mean() < found.effect.high
    names = {path.name for path in ctx.open(found.model).iterdir()}
    assert {name for name in names if name.endswith(".txt")} and not any("pkl" in name for name in names)
    given = BUILT_IN.validate("causal.effects", {"model": found.model, "table": ctx.table(frame)})
    assert (ctx.frame(actions.effects(given, ctx).effects)["effect"] == by_row["effect"]).all()


def test_effects_by_an_instrument_are_those_of_econml_where_adjusting_is_biased(ctx: LocalContext) -> None:
    from econml.iv.dml import OrthoIV
    from sklearn.linear_model import LogisticRegression, Ridge

    frame = offered(seed=1)
    given = {"effect_modifiers": ["share"], "confounders": ["size"]}
    found = ask(ctx, frame, estimator="OrthoIV", instrument="offer", **given)
    theirs = OrthoIV(
        model_y_xw=Ridge(),
        model_t_xw=LogisticRegression(),
        model_z_xw=LogisticRegression(),
        discrete_treatment=True,
        discrete_instrument=True,
        cv=5,
        random_state=1,
    ).fit(frame["sales"], frame["called"], Z=frame["offer"], X=frame[["share"]], W=frame[["size"]])
    low, high = theirs.effect_interval(frame[["share"]], alpha=0.05)
    ours = ctx.frame(found.effects)
    assert np.abs(ours["effect"] - theirs.effect(frame[["share"]])).max() < 0.15
    assert np.median((ours["effect_high"] - ours["effect_low"]) / (high - low)) == pytest.approx(1, abs=0.05)
    assert found.effect.low < 1 < found.effect.high and (found.first_stage_f or 0) > 100
    assert ask(ctx, frame, **given).effect.low > 2  # adjusting for what is measured is not enough
    robust = ask(ctx, frame, estimator="IntentToTreatDRIV", instrument="offer", **given)
    assert robust.effect.low < 1 < robust.effect.high and set(robust.averages) == {"ATE", "naive"}
    page = (ctx.open(robust.report) / "index.html").read_text()
    assert "changes sales only through called. No data can show this." in page
    weak = frame.assign(offer=np.random.default_rng(1).integers(0, 2, len(frame)))
    doubtful = ask(ctx, weak, estimator="OrthoIV", instrument="offer", **given)
    assert "is a weak instrument: F of the first stage is" in (ctx.open(doubtful.report) / "index.html").read_text()
    with pytest.raises(StepError, match="the instrument 'share' has 4000 values, and IntentToTreatDRIV needs two"):
        ask(ctx, frame, estimator="IntentToTreatDRIV", instrument="share", confounders=["size"], effect_modifiers=[])


@pytest.mark.slow
def test_a_sparse_effect_keeps_few_of_many_modifiers(ctx: LocalContext) -> None:
    r = np.random.default_rng(0)
    frame = data(1500).join(pd.DataFrame(r.normal(size=(1500, 15)), columns=[f"z{place}" for place in range(15)]))
    many = ["share", *(f"z{place}" for place in range(15))]
    by_row = {
        name: ctx.frame(ask(ctx, frame, estimator=name, effect_modifiers=many, confounders=["size"]).effects)
        for name in ("SparseLinearDML", "LinearDML")
    }
    errors = {name: float(((one["effect"] - frame["true"]) ** 2).mean()) for name, one in by_row.items()}
    sparse = by_row["SparseLinearDML"]
    assert errors["SparseLinearDML"] < errors["LinearDML"] and (sparse["effect_low"] < sparse["effect_high"]).all()


def test_each_value_of_a_treatment_is_compared_with_the_control(ctx: LocalContext) -> None:
    frame = data(2000)
    r = np.random.default_rng(3)
    logits = np.column_stack([np.zeros(len(frame)), 0.8 * frame["size"], -0.8 * frame["size"]])
    draws = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).cumsum(axis=1)
    place = (r.random(len(frame))[:, None] > draws).sum(axis=1)
    frame["called"] = np.array(["a none", "b mail", "c visit"])[place]
    frame["sales"] = 2 * frame["size"] + np.array([0, 1, 3])[place] + r.normal(size=len(frame))
    found = ask(ctx, frame, each_level=True, effect_modifiers=[], confounders=["size"])
    levels = ctx.frame(found.levels)
    assert list(levels["level"]) == ["b mail", "c visit"]
    for truth, (low, high) in zip((1, 3), levels[["effect_low", "effect_high"]].to_numpy(), strict=True):
        assert low < truth < high
    assert found.effect.low < 3 < found.effect.high  # of the last value
    page = (ctx.open(found.report) / "index.html").read_text()
    assert "c visit (" in page and "called = c visit, instead of a none, raises sales by" in page
    two = ask(ctx, data(600), effect_modifiers=[])
    (row,) = ctx.frame(two.levels).to_dict("records")
    assert (row["level"], row["effect"]) == ("1", two.effect.value)


def test_models_of_few_coefficients_may_learn_from_all_rows_and_weights_alone_may_answer(ctx: LocalContext) -> None:
    frame = data(1000)
    found = ask(ctx, frame, folds=1, average="weighting")
    from sklearn.linear_model import LogisticRegression

    columns = pd.get_dummies(frame[["share", "segment", "size"]], dtype=float)
    columns = columns.assign(
        **{name: (columns[name] - columns[name].mean()) / columns[name].std(ddof=0) for name in ("share", "size")}
    )
    share = LogisticRegression(C=1.0).fit(columns, frame["called"]).predict_proba(columns)[:, 1]
    weight = np.where(frame["called"] == 1, 1 / share, 1 / (1 - share))
    means = [
        np.average(frame["sales"][frame["called"] == arm], weights=weight[frame["called"] == arm]) for arm in (0, 1)
    ]
    assert found.effect.value == pytest.approx(means[1] - means[0], abs=1e-3)
    assert found.effect == found.averages["weighted"] != found.averages["ATE"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"estimator": "DRLearner", "continuous": True}, "amounts are for LinearDML, SparseLinearDML, CausalForest"),
        ({"estimator": "OrthoIV"}, "OrthoIV needs an `instrument`"),
        ({"estimator": "LinearDML", "instrument": "offer"}, "those that do: OrthoIV, IntentToTreatDRIV"),
        ({"estimator": "TLearner", "effect_modifiers": ["share"]}, "Move `confounders` to `effect_modifiers`"),
        ({"estimator": "SLearner"}, "SLearner needs `effect_modifiers`"),
        ({"folds": 1}, "`folds: 1` is for Ridge, LinearRegression, LogisticRegression: LightGBM would judge"),
        ({"estimator": "OrthoIV", "instrument": "offer", "average": "weighting"}, "not an `instrument`"),
        ({"each_level": True, "continuous": True}, "`each_level` needs a treatment of several values"),
    ],
)
def test_a_question_that_its_estimator_cannot_answer_is_refused(
    ctx: LocalContext, given: dict[str, object], message: str
) -> None:
    table = ctx.table(pd.DataFrame({"called": [0, 1], "sales": [1.0, 2.0]}))
    params = {"table": table, "treatment": "called", "outcome": "sales", "confounders": ["size"], **given}
    with pytest.raises(ValueError, match=message):
        BUILT_IN.validate("causal.estimate", params)
