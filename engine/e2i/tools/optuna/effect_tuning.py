"""Run ``optuna.tune`` for an effect. In: parameters. Out: a study, the best estimator and its model of the effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators import effects
from e2i.estimators.one_thread import one_thread
from e2i.tools.causal import estimation
from e2i.tools.optuna import effect_space, studies
from e2i.tools.optuna.choosing import Goals
from e2i.tools.optuna.effect_objective import EffectMetric, EffectObjective, EffectRows
from e2i.tools.optuna.effect_parameters import EffectQuestion

if TYPE_CHECKING:
    from e2i.tools.optuna.parameters import TuneOutputs, TuneParams


async def tune(params: TuneParams, question: EffectQuestion, ctx: StepContext) -> TuneOutputs:
    """Search, or resume the search of an earlier attempt, and fit the best estimator to all of ``train``.

    Raises StepError for rows without an answer and when no trial was completed, ToolUnavailable when the storage fails.
    """

    from e2i.tools.optuna.parameters import TuneOutputs

    _check(params)
    metric: EffectMetric = "dr_score" if params.metric == "dr_score" else "r_score"
    sought = Goals((metric,), ("maximize",))
    given = {"outcome_model": question.outcome_model, "treatment_model": question.treatment_model}
    space = params.space or effect_space.default(params.algorithm, given)
    with one_thread():
        rows = EffectRows(params, question, ctx)
        plan = studies.plan(params, space, sought, 0, rows.seed)
        objective = EffectObjective(rows, metric, params.fixed, prunes=params.pruner != "none")
        found = await studies.run(params, plan, sought, objective, ctx)
        chosen = {**params.fixed, **found.best.params}
        answer = estimation.estimate(rows.question, rows.asked(chosen), rows.seed, ctx.threads)
    warnings = list(answer.warnings)
    if found.best.values[0] <= 0:
        warnings.append(
            f"no trial is better than one effect for all rows (best {metric}: {found.best.values[0]:.3g}): these rows "
            "do not show for whom the effect is larger"
        )
    found.report(ctx, chosen, warnings)
    return TuneOutputs(
        **found.outputs(ctx, plots=params.plots),
        best_params=chosen,
        best_recipe=None,
        best_estimate=rows.best(chosen),
        model=effects.keep_effects(answer.final.model, ctx, rows.frame.iloc[answer.rows.kept]),
    )


def _check(params: TuneParams) -> None:
    """Raise StepError for what planning would have found, had the parameters been known."""
    from e2i.tools.optuna import effect_columns

    given = params.model_dump()
    for problem in (*effect_space.check(given), *effect_columns.pruned(given)):
        if problem.severity == "error":
            where = ".".join(map(str, problem.path))
            raise StepError(f"{where}: {problem.message}", code=problem.code, hint=problem.hint)
