"""Run ``shap.explain``. In: parameters. Out: SHAP values, importances, interactions, plots and a report."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from e2i.catalog.artifacts import EffectModel, Model, Report
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import saved
from e2i.tools.shap import ExplainOutputs, ExplainParams, LoggedModel, choice, chosen, tables
from e2i.tools.shap.connector import GuardedShap

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix
    from e2i.tools.shap.values import Explanation


async def explain(params: ExplainParams, ctx: StepContext) -> ExplainOutputs:
    """Explain a sample of the table's rows, or those that are named."""
    from e2i.tools.shap import explaining

    model = params.model
    if isinstance(model, LoggedModel):
        return await _explain_foreign(params, model, ctx)
    scorer = explaining.effects(model, ctx) if isinstance(model, EffectModel) else saved.open_model(model, ctx)
    frame = _frame(params, ctx)
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
    if isinstance(model, Model) and model.calibration is not None:
        ctx.warn("the values explain the model before its calibration, in the margin of its library")
    keys = None if params.instances is None else (params.instances.by, frame[params.instances.by].iloc[places])
    labels = [str(one) for one in scorer.manifest["classes"] or ()]
    what = f"the effect on {model.outcome}" if isinstance(model, EffectModel) else model.target
    title = f"Explanation of {what} ({algorithm_of(model)})"
    return _outputs(params, found, places, keys, labels, scorer.prepared(sample), title, ctx)


async def _explain_foreign(params: ExplainParams, model: LoggedModel, ctx: StepContext) -> ExplainOutputs:
    """Explain a model of MLflow's by its predictions."""
    from e2i.tools.shap.foreign import Foreign

    function, frame = await Foreign.open(model, ctx), _frame(params, ctx)
    places = chosen.places(params, frame, ctx.seed if params.seed is None else params.seed)
    sample = frame.iloc[places]
    background = frame if params.background is None else ctx.frame(params.background)
    shap = ctx.connect(GuardedShap)
    how = shap.how(
        params.explainer,
        interactions=min(params.interaction_rows, len(sample)) if params.interactions else 0,
        **({} if params.seed is None else {"seed": params.seed}),
    )
    found = await shap.explain_function(function, sample, background, how)
    keys = None if params.instances is None else (params.instances.by, frame[params.instances.by].iloc[places])
    labels = [str(name) for name in found.classes or ()]
    return _outputs(params, found, places, keys, labels, function.features(sample), f"Explanation of {model.uri}", ctx)


def _frame(params: ExplainParams, ctx: StepContext) -> pd.DataFrame:
    frame = ctx.frame(params.table)
    if frame.empty:
        raise StepError("the table has no rows to explain", code="no-rows", hint="check the steps that produce it")
    return frame


def _outputs(
    params: ExplainParams,
    found: Explanation,
    places: Matrix,
    keys: tables.Keys | None,
    labels: Sequence[str],
    sample: pd.DataFrame,
    title: str,
    ctx: StepContext,
) -> ExplainOutputs:
    """Keep the tables, the page and its plots. ``sample`` are the explained rows, ``labels`` the classes."""
    values, pairs = tables.values(found, places, labels, keys), tables.interactions(found, places, labels, keys)
    report, figures = _drawn(params, found, sample, keys, title, ctx)
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
    params: ExplainParams,
    found: Explanation,
    sample: pd.DataFrame,
    keys: tables.Keys | None,
    title: str,
    ctx: StepContext,
) -> tuple[Report, dict[str, Report]]:
    """Return the page, and each of its plots, both shown in the tracker."""
    from e2i.tools.shap import page

    folder, captions = page.write(ctx.scratch / "shap", title, found, sample, keys, plots=params.plots)
    figures = {}
    for name, caption in captions.items():
        picture = ctx.scratch / f"{name}.png"
        shutil.copyfile(folder / picture.name, picture)  # the page shows its own copy
        figures[name] = ctx.keep(picture, Report, media_type="image/png", title=caption)
    report = ctx.keep(folder, Report, media_type="text/html", title=title, entry=page.ENTRY)
    ctx.attach("shap", report)
    return report, figures
