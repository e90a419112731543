"""Generated data with a known effect of a call, and the question that finds it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from context import LocalContext
from e2i.catalog.registry import BUILT_IN
from e2i.tools.causal import EstimateOutputs, actions

ROWS = 3000
MODIFIERS = ("share", "segment")
RIDGE = {"algorithm": "Ridge", "params": {"alpha": 1.0}}
LOGIT = {"algorithm": "LogisticRegression", "params": {"C": 1.0}}
LINEAR = {"outcome_model": RIDGE, "treatment_model": LOGIT}


def data(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """The effect is 1 + share, 0.5 more for segment b; ``size`` is why the treated have more anyhow."""
    r = np.random.default_rng(seed)
    share, size = r.normal(size=rows), r.normal(size=rows)
    segment = r.choice(["a", "b"], rows)
    called = r.binomial(1, 1 / (1 + np.exp(-0.8 * size - 0.3 * share)))
    effect = 1 + share + 0.5 * (segment == "b")
    sales = 2 * size + effect * called + r.normal(size=rows)
    return pd.DataFrame(
        {"share": share, "size": size, "segment": segment, "called": called, "sales": sales, "true": effect}
    )


def ask(ctx: LocalContext, frame: pd.DataFrame, **given: Any) -> EstimateOutputs:
    given = {"effect_modifiers": MODIFIERS, "confounders": ["size"], **LINEAR, **given}
    params = {"table": ctx.table(frame), "treatment": "called", "outcome": "sales", **given}
    return actions.estimate(BUILT_IN.validate("causal.estimate", params), ctx)
