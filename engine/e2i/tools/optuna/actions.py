"""Run ``optuna.tune``. In: parameters. Out: a study, its best parameters and model, its trials and their front."""

from __future__ import annotations

from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import algorithms, recipe_choices, recipe_space, saved
from e2i.tools.optuna import (
    Scalar,
    TuneOutputs,
    TuneParams,
    choosing,
    effect_tuning,
    options,
    ranges,
    studies,
)
from e2i.tools.optuna.objective import Models
from e2i.tools.optuna.rows import TrialRows


async def tune(params: TuneParams, ctx: StepContext) -> TuneOutputs:
    """Search, or resume the search of an earlier attempt; every trial becomes a child run.

    Raises StepError with the reasons when no trial was completed, and ToolUnavailable when the storage fails.
    """
    from threadpoolctl import threadpool_limits

    if params.effect is not None:
        return await effect_tuning.tune(params, params.effect, ctx)
    rows = TrialRows(params, ctx)
    _check(params, rows.schema.task)
    sought = choosing.goals(params.metric, params.direction, params.metrics, rows.schema.task)
    watched = rows.watched(sought.names)
    space = params.space or algorithms.of(params.algorithm).space
    plan = studies.plan(params, space, sought, 0 if watched is None else watched[0], rows.request.seed)
    algorithms.check(params.algorithm, rows.schema.task, {**recipe_choices.split(plan.space)[0], **params.fixed})
    models = Models(sought.directions)
    objective = rows.objective(sought.names, models, watched)
    with threadpool_limits(
        limits=1, user_api="blas"
    ):  # trials share the cores, and sums keep their order on any machine
        found = await studies.run(params, plan, sought, objective, ctx)
        best = found.best
        best_params: dict[str, Scalar] = objective.chosen(best)
        choices = recipe_choices.split(best.params)[1]
        fitted = models.of(best.number) or objective.again(best) or rows.fit(best_params, choices)
    found.report(ctx, {**best_params, **choices}, rows.warnings(fitted))
    if params.device != "cpu":
        ctx.param("device", fitted.prepared.loss.device)
    return TuneOutputs(
        **found.outputs(ctx, plots=params.plots),
        best_params=best_params,
        best_recipe=rows.recipe(choices),
        best_estimate=None,
        model=saved.keep_model(fitted, ctx),
    )


def _check(params: TuneParams, task: str) -> None:
    """Raise StepError for what planning would have found, had the parameters been known."""
    given = params.model_dump()
    for problem in (
        *ranges.check(given),
        *recipe_space.check(given),
        *options.check(given, options.metrics(given), task),
    ):
        if problem.severity == "error":
            where = ".".join(map(str, problem.path))
            raise StepError(f"{where}: {problem.message}", code=problem.code, hint=problem.hint)
