"""What a step asks of Opik goes in; it is done when the action returns."""

from __future__ import annotations

from e2i.catalog.context import StepContext
from e2i.tools.opik import OpikSettings, ScoreOutputs, ScoreParams
from e2i.tools.opik.connector import OpikConnector
from e2i.tools.opik.identity import trace_id


async def score(params: ScoreParams, ctx: StepContext) -> ScoreOutputs:
    """Gives this run's trace a score, if it is sampled; the trace itself may arrive later, through the outbox."""
    settings = ctx.settings("opik")
    assert isinstance(settings, OpikSettings)
    trace = trace_id(ctx.info.run)
    opik = ctx.connect(OpikConnector)
    await opik.log_feedback(trace, params.name, params.value, reason=params.reason)
    await opik.flush()
    return ScoreOutputs(trace=trace, project=settings.project)
