"""Run ``shap.explain``. In: parameters. Out: SHAP values, importances and a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from e2i.catalog.artifacts import Report
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import saved
from e2i.tools.shap import ExplainOutputs, ExplainParams
from e2i.tools.shap.columns import beside
from e2i.tools.shap.connector import GuardedShap

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix
    from e2i.tools.shap.values import Explanation


async def explain(params: ExplainParams, ctx: StepContext) -> ExplainOutputs:
    """Explain a sample of the table's rows."""
    from e2i.tools.shap import plots

    scorer = saved.open_model(params.model, ctx)
    frame = ctx.frame(params.table)
    if frame.empty:
        raise StepError("the table has no rows to explain", code="no-rows", hint="check the steps that produce it")
    chosen = _sample(len(frame), params.rows, ctx.seed if params.seed is None else params.seed)
    sample = frame.iloc[chosen]
    background = frame if params.background is None else ctx.frame(params.background)
    found = await ctx.connect(GuardedShap).explain(scorer, sample, background, threads=ctx.threads)
    title = f"Explanation of {params.model.target} ({params.model.algorithm})"
    folder = plots.write(ctx.scratch / "shap", title, found, sample, plots=params.plots)
    report = ctx.keep(folder, Report, media_type="text/html", title=title, entry=plots.ENTRY)
    ctx.attach("shap", report)
    return ExplainOutputs(
        values=ctx.table(_table(found, chosen)),
        expected_value=float(found.expected[0]) if found.classes is None else found.expected.tolist(),
        importance=found.importance,
        report=report,
    )


def _sample(total: int, rows: int, seed: int) -> Matrix:
    """Return the numbers of the rows to explain, in the table's order."""
    import numpy as np

    if rows >= total:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).choice(total, rows, replace=False))


def _table(found: Explanation, chosen: Matrix) -> pd.DataFrame:
    """Return the values in long form: a row per explained row, and per class if there are more than two."""
    import pandas as pd

    row, label, expected, margin = (beside(n, found.features) for n in ("row", "class", "expected_value", "margin"))
    parts = []
    for which in range(found.values.shape[2]):
        columns: dict[str, Any] = {row: chosen}
        if found.classes is not None:
            columns[label] = [found.classes[which]] * len(chosen)
        part = pd.DataFrame(found.values[:, :, which], columns=found.features)
        about = {expected: found.expected[which], margin: found.margin[:, which]}
        parts.append(pd.concat([pd.DataFrame(columns), part, pd.DataFrame(about, index=part.index)], axis=1))
    return pd.concat(parts, ignore_index=True)
