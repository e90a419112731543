"""Run the Opik action. In: parameters of a score. Out: the score, recorded when the action returns."""

from __future__ import annotations

from e2i.catalog.context import StepContext
from e2i.tools.opik import OpikSettings, ScoreOutputs, ScoreParams
from e2i.tools.opik.connector import OpikConnector
from e2i.tools.opik.identity import trace_id


async def score(params: ScoreParams, ctx: StepContext) -> ScoreOutputs:
    """Add a score to this run's trace, if it is sampled. The trace itself may arrive later, through the outbox."""
    settings = ctx.settings("opik")
    assert isinstance(settings, OpikSettings)
    trace = trace_id(ctx.info.run)
    opik = ctx.connect(OpikConnector)
    await opik.log_feedback(trace, params.name, params.value, reason=params.reason)
    await opik.flush()
    return ScoreOutputs(trace=trace, project=settings.project)
