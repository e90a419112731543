"""Run ``shap.explain``. In: parameters. Out: SHAP values, importances, interactions, plots and a report."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from e2i.catalog.artifacts import EffectModel, Model, Report
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import saved
from e2i.tools.shap import ExplainOutputs, ExplainParams, choice, chosen, tables
from e2i.tools.shap.connector import GuardedShap

if TYPE_CHECKING:
    import pandas as pd

    from e2i.tools.shap.values import Explanation


async def explain(params: ExplainParams, ctx: StepContext) -> ExplainOutputs:
    """Explain a sample of the table's rows, or those that are named."""
    from e2i.tools.shap import explaining

    model = params.model
    scorer = explaining.effects(model, ctx) if isinstance(model, EffectModel) else saved.open_model(model, ctx)
    frame = ctx.frame(params.table)
    if frame.empty:
        raise StepError("the table has no rows to explain", code="no-rows", hint="check the steps that produce it")
    places = chosen.places(params, frame, ctx.seed if params.seed is None else params.seed)
    sample = frame.iloc[places]
    background = frame if params.background is None else ctx.frame(params.background)
    shap = ctx.connect(GuardedShap)
    how = shap.how(
        params.explainer,
        threads=ctx.threads,
        interactions=min(params.interaction_rows, len(sample)) if params.interactions else 0,
        **({} if params.seed is None else {"seed": params.seed}),
    )
    found = await shap.explain(scorer, sample, background, how)
    if params.interactions and choice.native(algorithm_of(model)) == found.explainer == "linear":
        ctx.warn(f"{algorithm_of(model)} is a sum over its features: the interactions of all pairs are 0")
    keys = None if params.instances is None else (params.instances.by, frame[params.instances.by].iloc[places])
    labels = [str(one) for one in scorer.manifest["classes"] or ()]
    values, pairs = tables.values(found, places, labels, keys), tables.interactions(found, places, labels, keys)
    report, figures = _drawn(params, found, scorer.prepared(sample), keys, ctx)
    return ExplainOutputs(
        values=ctx.table(values),
        expected_value=float(found.expected[0]) if found.classes is None else found.expected.tolist(),
        importance=found.importance,
        explainer=found.explainer,
        standard_error=None if found.error is None else float(found.error.max()),
        interactions=None if pairs is None else ctx.table(pairs),
        figures=figures,
        report=report,
    )


def algorithm_of(model: Model | EffectModel) -> str:
    """Return the name of a model's algorithm, or of an effect model's estimator."""
    return model.estimator if isinstance(model, EffectModel) else model.algorithm


def _drawn(
    params: ExplainParams, found: Explanation, sample: pd.DataFrame, keys: tables.Keys | None, ctx: StepContext
) -> tuple[Report, dict[str, Report]]:
    """Return the page, and each of its plots, both shown in the tracker."""
    from e2i.tools.shap import page

    model = params.model
    what = f"the effect on {model.outcome}" if isinstance(model, EffectModel) else model.target
    title = f"Explanation of {what} ({algorithm_of(model)})"
    folder, captions = page.write(ctx.scratch / "shap", title, found, sample, keys, plots=params.plots)
    figures = {}
    for name, caption in captions.items():
        picture = ctx.scratch / f"{name}.png"
        shutil.copyfile(folder / picture.name, picture)  # the page shows its own copy
        figures[name] = ctx.keep(picture, Report, media_type="image/png", title=caption)
    report = ctx.keep(folder, Report, media_type="text/html", title=title, entry=page.ENTRY)
    ctx.attach("shap", report)
    return report, figures
