"""Run the Opik actions. In: parameters. Out: scores and experiments, recorded when an action returns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.tools.opik import EvaluateOutputs, EvaluateParams, Function, OpikSettings, ScoreOutputs, ScoreParams
from e2i.tools.opik.connector import GuardedOpik
from e2i.tools.opik.identity import adopted, trace_id


async def score(params: ScoreParams, ctx: StepContext) -> ScoreOutputs:
    """Add a score to this run's trace, or to another, if it is sampled. The trace itself may arrive later."""
    settings = ctx.settings("opik")
    assert isinstance(settings, OpikSettings)
    trace = trace_id(ctx.info.run) if params.trace is None else adopted(params.trace, "trace")
    recorded = await ctx.connect(GuardedOpik).score(
        trace,
        params.name,
        params.value,
        reason=params.reason,
        span_id=None if params.span is None else adopted(params.span, "span"),
        foreign=trace == params.trace,  # an id that Opik made; others are mapped here, such as those of runs
    )
    return ScoreOutputs(trace=trace, project=settings.project_name, recorded=recorded)


async def evaluate(params: EvaluateParams, ctx: StepContext) -> EvaluateOutputs:
    """Evaluate the cases. A retry finds the experiment of its key, and evaluates only if that is incomplete."""
    import pandas as pd

    from e2i.tools.opik.evaluation import Evaluation

    settings = ctx.settings("opik")
    assert isinstance(settings, OpikSettings)
    cases = _cases(params, ctx)
    task = None if params.task is None else _task(_function(params.task, ctx))
    own = [] if params.scorer is None else [_function(params.scorer, ctx)]
    name = f"{params.name}-{ctx.key('experiment')[:12]}"
    evaluation = Evaluation(params.name, cases, [*params.metrics, *own], task, name, linear=True)
    found = await ctx.connect(GuardedOpik).evaluate(evaluation, settings.environment or "")
    ctx.confirm_files()
    names = [*params.metrics, *([] if params.scorer is None else [params.scorer.function])]
    for metric in names:
        failed = sum(metric not in case.scores for case in found.cases)
        if failed:
            ctx.warn(f"the metric {metric} failed for {failed:,} of {len(cases):,} cases")
        ctx.metric(metric, found.means[metric])
    columns: dict[str, Any] = {
        "case": pd.Series([case.number for case in found.cases], dtype="int64"),
        "output": pd.Series([_text(case.output) for case in found.cases], dtype="string"),
        **{one: pd.Series([case.scores.get(one) for case in found.cases], dtype="float64") for one in names},
    }
    return EvaluateOutputs(
        scores={metric: found.means[metric] for metric in names},
        table=ctx.table(pd.DataFrame(columns)),
        experiment=found.experiment,
        cases=len(cases),
    )


def _cases(params: EvaluateParams, ctx: StepContext) -> list[dict[str, Any]]:
    """Return the cases in order; those of a table without the columns that are null in their row."""
    if params.table is None:
        return [dict(case) for case in params.cases]
    if not params.table.rows:
        raise StepError("the table has no test cases", code="no-rows", hint="check the steps that produce it")
    rows = ctx.arrow(params.table).to_pylist()
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def _function(given: Function, ctx: StepContext) -> Callable[..., Any]:
    function = ctx.run_file(given.file).get(given.function)
    if not callable(function):
        raise StepError(f"{given.file} has no function {given.function!r}", code="no-such-function")
    made: Callable[..., Any] = function
    return made


def _task(function: Callable[..., Any]) -> Callable[[Mapping[str, Any]], Any]:
    """Return a task of an evaluation: the function's value is the output, unless it names one."""

    def task(case: Mapping[str, Any]) -> Any:
        try:
            made = function(case)
        except Exception as error:  # the boundary to the user's own code
            message = f"{function.__name__} raised {type(error).__name__}: {error}"
            raise StepError(message, code="user-code-failed") from error
        return made if isinstance(made, Mapping) and "output" in made else {"output": made}

    return task


def _text(output: Any) -> str:
    return output if isinstance(output, str) else json.dumps(output, default=str, ensure_ascii=False)
