"""``causal.front_door``: the effect is found where its common cause is not measured; graphs without one are refused."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd
import pytest

from called import LINEAR
from context import LocalContext
from e2i.catalog.registry import BUILT_IN
from e2i.errors import StepError
from e2i.tools.causal import EstimateParams, actions, mediated
from e2i.tools.causal import question as questions
from e2i.tools.causal.mediators import FrontDoorOutputs

SEEDS = int(os.environ.get("CHAOS_SEEDS", "100"))
GRAPH = ["smoking -> tar -> cancer", "smoking <-> cancer", "smoking <- age -> tar", "age -> cancer"]


def smokers(rows: int = 4000, seed: int = 0) -> pd.DataFrame:
    """Tar is 1 more of those who smoke, and each unit of it costs 0.5. A gene that nobody measured changes both ends."""
    r = np.random.default_rng(seed)
    gene, age = r.normal(size=rows), r.normal(size=rows)
    smoking = (gene + 0.5 * age + r.logistic(size=rows) > 0).astype(int)
    tar = smoking + 0.4 * age + r.normal(size=rows)
    cancer = 0.5 * tar + 1.5 * gene + 0.3 * age + r.normal(size=rows)
    return pd.DataFrame({"smoking": smoking, "tar": tar, "age": age, "cancer": cancer})


def run(ctx: LocalContext, frame: pd.DataFrame, **given: Any) -> FrontDoorOutputs:
    params = {"treatment": "smoking", "outcome": "cancer", "mediators": ["tar"], "confounders": ["age"], **LINEAR}
    validated = BUILT_IN.validate("causal.front_door", {**params, "table": ctx.table(frame), **given})
    return actions.front_door(validated, ctx)


def test_the_effect_is_found_where_adjusting_is_biased(ctx: LocalContext) -> None:
    found = run(ctx, smokers(), graph=GRAPH)
    assert found.effect.low < 0.5 < found.effect.high and found.naive.low > 1.2 and found.passed
    assert found.outside < 0.05 and list(ctx.frame(found.checks)["check"]) == ["overlap of mediators"]
    page = (ctx.open(found.report) / "index.html").read_text()
    assert "smoking changes cancer only through tar. No data can show this." in page and page.count("data:image") == 1
    telling = smokers(600).assign(tar=lambda frame: frame["tar"] + 12 * frame["smoking"])
    with pytest.raises(StepError, match="have mediators that almost tell the treatment"):
        run(ctx, telling, on_failure="fail")


def test_mediators_of_few_values_equal_the_formula(ctx: LocalContext) -> None:
    """With cells of their own means the estimate is the plug-in sum of Pearl's formula, but for cross-fitting."""
    r = np.random.default_rng(2)
    frame = smokers(6000, 3).assign(tar=lambda found: (found["tar"] + r.normal(size=6000) > 0.5).astype(int))
    found = run(ctx, frame, confounders=[], outcome_model={"algorithm": "LinearRegression"})
    by_cell = frame.groupby(["smoking", "tar"])["cancer"].mean()
    arm = frame["smoking"].mean()
    mixed = {tar: (1 - arm) * by_cell[0, tar] + arm * by_cell[1, tar] for tar in (0, 1)}
    shares = frame.groupby("smoking")["tar"].mean()
    formula = (shares[1] - shares[0]) * (mixed[1] - mixed[0])
    assert found.effect.value == pytest.approx(formula, abs=0.01)


def test_mediators_that_are_no_front_door_of_the_graph_are_refused(ctx: LocalContext) -> None:
    frame = smokers(400)
    for graph, says in (
        ([*GRAPH, "smoking -> cancer"], "they do not block all directed paths: smoking -> cancer goes past them"),
        ([*GRAPH, "smoking <-> tar"], 'a path between "smoking" and "tar" is open'),
        ([*GRAPH, "tar <-> cancer"], 'given "smoking", a path between "tar" and "cancer" is open'),
        (["smoking -> cancer", "age -> cancer", "age -> smoking"], 'the mediator "tar" is not in the graph'),
    ):
        with pytest.raises(StepError, match=says):
            run(ctx, frame, graph=graph)
    with pytest.raises(StepError, match='a path between "smoking" and "tar" is open'):
        run(ctx, frame, graph=GRAPH, confounders=[])
    with pytest.raises(ValueError, match='"tar" has two roles'):
        run(ctx, frame, confounders=["tar"])


@pytest.mark.slow
def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    table = {"type": "table", "digest": "sha256:" + "0" * 64, "columns": [], "rows": 2000}
    given = {"table": table, "treatment": "smoking", "outcome": "cancer", "effect_modifiers": ["tar"], **LINEAR}
    params = BUILT_IN.validate("causal.estimate", {**given, "confounders": ["age"], "folds": 3})
    assert isinstance(params, EstimateParams)
    covered, values = 0, []
    for seed in range(SEEDS):
        scores = mediated.estimate(questions.ask(smokers(2000, seed), params), params, seed, 1).scores
        covered += abs(scores.mean() - 0.5) <= 1.96 * scores.std() / len(scores) ** 0.5
        values.append(scores.mean() - 0.5)
    print(f"{covered} of {SEEDS} intervals, bias {np.mean(values):+.4f}")
    few = SEEDS < 50
    assert covered >= 0.9 * SEEDS - few and abs(np.mean(values)) < 0.02 + 0.05 * few
