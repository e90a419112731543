"""Run ``prepare.*``. In: parameters. Out: recipes, and pages that show what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from e2i.catalog.artifacts import Report
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.tools.prepare import Prepared, PreviewOutputs, PreviewParams, RecipeOutputs, RecipeParams

if TYPE_CHECKING:
    import pandas as pd


def recipe(params: RecipeParams, ctx: StepContext) -> RecipeOutputs:
    """Return the operations as a recipe."""
    from e2i.estimators.recipes import recipe_of

    return RecipeOutputs(recipe=recipe_of(params.steps))


def preview(params: PreviewParams, ctx: StepContext) -> PreviewOutputs:
    """Fit the recipe to the table, describe the columns that it makes, and show the first rows on a page."""
    from e2i.estimators import preparation, schema
    from e2i.estimators.recipes import steps_of
    from e2i.tools.prepare import page

    frame = ctx.frame(params.table)
    operations = steps_of(params.recipe)
    target = _target(frame, params, ctx)
    features = schema.inputs(frame, target.name, params.features, params.exclude)
    _, prepared = preparation.fit(frame, features, operations, target)
    columns = tuple(_described(prepared[name]) for name in prepared.columns)
    path = ctx.scratch / "preview.html"
    path.write_text(page.render(frame[[one["name"] for one in features]], prepared, columns, params.rows), "utf-8")
    report = ctx.keep(path, Report, media_type="text/html", title="Preparation")
    ctx.metric("columns", len(columns))
    ctx.attach("preparation", report)
    return PreviewOutputs(columns=columns, report=report)


def _target(frame: pd.DataFrame, params: PreviewParams, ctx: StepContext) -> Any:
    """Return the target that operations learn from. Raises StepError when one needs it and there is none."""
    import numpy as np

    from e2i.estimators import preparation, schema

    seed = ctx.seed if params.seed is None else params.seed
    if params.target is not None:
        algorithm = "XGBoost"  # one for both tasks: only the target's values decide
        _, classes = schema.goal(frame, params.target, algorithm)
        labels = schema.labels(frame, params.target, classes)
        return preparation.Target(params.target, labels, classes, seed)
    learning = [step["op"] for step in params.recipe.steps if isinstance(step, dict) and step["op"] in NEED_TARGET]
    if learning:
        raise StepError(f"{learning[0]} learns from the target", code="bad-target", hint="set `target`")
    return preparation.Target("", np.zeros(len(frame)), None, seed)


def _described(column: pd.Series[Any]) -> Prepared:
    from e2i.estimators.preparation import kind_of

    kind = kind_of(column.to_numpy())
    present = column.dropna()
    numbers = kind == "number" and len(present) > 0
    return Prepared(
        name=str(column.name),
        type=kind,
        missing=float(column.isna().mean()),
        distinct=int(present.nunique()),
        low=float(present.min()) if numbers else None,
        mean=float(present.mean()) if numbers else None,
        high=float(present.max()) if numbers else None,
    )


NEED_TARGET = ("target_encode", "select")
"""Operations that learn from the target."""
