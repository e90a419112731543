"""Run the Opik action. In: parameters of a score. Out: the score, recorded when the action returns."""

from __future__ import annotations

from e2i.catalog.context import StepContext
from e2i.tools.opik import OpikSettings, ScoreOutputs, ScoreParams
from e2i.tools.opik.connector import GuardedOpik
from e2i.tools.opik.identity import trace_id


async def score(params: ScoreParams, ctx: StepContext) -> ScoreOutputs:
    """Add a score to this run's trace, if it is sampled. The trace itself may arrive later, through the outbox."""
    settings = ctx.settings("opik")
    assert isinstance(settings, OpikSettings)
    trace = trace_id(ctx.info.run)
    opik = ctx.connect(GuardedOpik)
    await opik.score(trace, params.name, params.value, reason=params.reason)
    return ScoreOutputs(trace=trace, project=settings.project_name)
