from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from context import LocalContext
from e2i.errors import StepError, ToolUnavailable
from e2i.resilience.breaker import State
from e2i.tools.opik import OpikSettings, ScoreParams
from e2i.tools.opik.actions import score
from e2i.tools.opik.connector import GuardedOpik
from e2i.tools.opik.identity import trace_id
from tools.opik.stand_in import StandIn

Connect = Callable[..., GuardedOpik]
TRACE = trace_id("r1")


def test_a_score_is_there_when_the_call_returns(connect: Connect) -> None:
    async def work() -> None:
        opik = connect()
        opik.client.trace(id=TRACE, name="test")
        assert opik.client.flush(timeout=20)
        await opik.score(TRACE, "quality", 0.8, reason="clear")
        await opik.score(TRACE, "quality", 0.9)
        (trace,) = await opik.search_traces("feedback_scores.quality > 0.5")
        assert [(s.name, s.value, s.reason) for s in trace.feedback_scores] == [("quality", 0.9, None)]
        assert await opik.search_spans(TRACE) == []
        await opik.close()

    asyncio.run(work())


@pytest.mark.parametrize("mood", ["failing", "silent", "stopped"])
def test_a_dead_server_is_said_in_time_and_opens_the_breaker(connect: Connect, server: StandIn, mood: Any) -> None:
    async def work() -> None:
        opik = connect(url=server.url, deadline=0.3)
        server.stop() if mood == "stopped" else setattr(server, "mood", mood)
        for _ in range(5):
            with pytest.raises(ToolUnavailable):
                await opik.score(TRACE, "quality", 0.8)
        assert opik._guard.breaker.state is State.OPEN

    asyncio.run(work())


def test_a_refused_score_is_the_callers_mistake(connect: Connect) -> None:
    with pytest.raises(StepError, match="must be a UUID"):
        asyncio.run(connect().score("not-an-id", "quality", 1.0))


def test_a_trace_that_is_not_sampled_gets_no_score(connect: Connect, server: StandIn) -> None:
    asyncio.run(connect(url=server.url, sampling_rate=0.0).score(TRACE, "quality", 1.0))
    assert server.requests == {}


def test_the_score_action_scores_the_runs_own_trace(ctx: LocalContext) -> None:
    async def work() -> None:
        opik = ctx.connect(GuardedOpik)
        opik.client.trace(id=trace_id(ctx.info.run), name="test")
        assert opik.client.flush(timeout=20)
        outputs = await score(ScoreParams(name="approved", value=1, reason="by hand"), ctx)
        assert outputs.trace == trace_id(ctx.info.run)
        (trace,) = await opik.search_traces()
        assert [(s.name, s.value, s.reason) for s in trace.feedback_scores] == [("approved", 1.0, "by hand")]
        await opik.close()

    asyncio.run(work())


def test_the_api_key_is_never_shown() -> None:
    settings = OpikSettings(url="https://opik.example.com/api", api_key="s3cret")  # type: ignore[arg-type]
    assert "s3cret" not in f"{settings!r} {settings} {settings.model_dump_json()}"
    assert (settings.url, settings.address()) == ("https://opik.example.com/api/", ("opik.example.com", 443))
