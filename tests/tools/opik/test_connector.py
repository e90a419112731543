from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from context import LocalContext
from e2i.errors import StepError, ToolUnavailable
from e2i.resilience.breaker import State
from e2i.tools.opik import OpikSettings, ScoreParams
from e2i.tools.opik.actions import score
from e2i.tools.opik.connector import Flushed, OpikConnector
from e2i.tools.opik.identity import is_sampled, trace_id
from tools.opik.stand_in import StandIn

Connect = Callable[..., OpikConnector]


async def observe(opik: OpikConnector) -> str:
    """An agent's work: a trace with a span, a model call below it, an event, a metric and a judgement."""
    async with opik.trace("feature_analyzer.interpret", input={"rows": 3}, tags=["dev"]) as trace:
        trace.set_attribute("environment", "dev")
        async with trace.span("interpret", type="tool", tier=0) as step:
            step.add_event("cache miss", {"key": "k"})
            async with step.span("llm_call") as call:
                call.track_llm(
                    model="claude-sonnet-4",
                    provider="anthropic",
                    prompt_tokens=10,
                    completion_tokens=5,
                    total_cost=0.01,
                )
        trace.set_output(text="done")
    await opik.log_metric(trace.id, "latency", 1.5)
    await opik.log_feedback(trace.id, "quality", 0.8, reason="clear")
    return trace.id


def test_what_an_agent_observes_is_read_back_with_the_sdks_client(connect: Connect) -> None:
    async def work() -> None:
        opik = connect()
        trace_id = await observe(opik)
        assert opik.pending == 5
        assert await opik.flush(timeout=20) == Flushed(documents=3, scores=2)
        assert (opik.pending, await opik.flush()) == (0, Flushed(0, 0))
        (trace,) = await opik.search_traces("feedback_scores.quality > 0.5")
        assert (trace.id, trace.name, trace.input, trace.output) == (
            trace_id, "feature_analyzer.interpret", {"rows": 3}, {"text": "done"},
        )  # fmt: skip
        assert trace.metadata == {"environment": "dev"}
        assert trace.usage["total_tokens"] == 15
        assert [(s.name, s.value, s.reason) for s in trace.feedback_scores] == [
            ("latency", 1.5, None),
            ("quality", 0.8, "clear"),
        ]
        spans = {span.name: span for span in await opik.search_spans(trace_id)}
        assert (spans["llm_call"].parent_span_id, spans["interpret"].parent_span_id) == (spans["interpret"].id, None)
        assert (spans["llm_call"].type, spans["llm_call"].model) == ("llm", "claude-sonnet-4")
        assert spans["interpret"].metadata["tier"] == 0
        assert spans["interpret"].metadata["events"][0]["name"] == "cache miss"
        assert opik.client.get_span_content(spans["interpret"].id).name == "interpret"
        await opik.close()

    asyncio.run(work())


def test_an_error_ends_its_span_and_trace_and_passes_on(connect: Connect) -> None:
    async def work() -> None:
        opik = connect()
        with pytest.raises(ValueError, match="no rows"):
            async with opik.trace("work") as trace, trace.span("step"):
                raise ValueError("no rows")
        await opik.flush()
        (held,) = await opik.search_traces()
        assert (held.error_info.exception_type, held.error_info.message) == ("ValueError", "no rows")
        assert held.end_time is not None
        await opik.close()

    asyncio.run(work())


def test_a_status_can_be_set_and_taken_back(connect: Connect) -> None:
    async def work() -> None:
        opik = connect()
        async with opik.trace("work") as trace:
            trace.set_status("error", "weak")
            assert trace.document["error_info"]["message"] == "weak"
            trace.set_status("ok")
            assert "error_info" not in trace.document

    asyncio.run(work())


@pytest.mark.parametrize("mood", ["failing", "silent", "stopped"])
def test_a_dead_server_costs_nothing_but_the_flush_that_says_so(
    connect: Connect, server: StandIn, mood: str
) -> None:  # O12 to O15
    async def work() -> None:
        opik = connect(url=server.url)
        server.stop() if mood == "stopped" else setattr(server, "mood", mood)
        await observe(opik)
        for _ in range(2):
            with pytest.raises(ToolUnavailable):
                await opik.flush(timeout=0.3)
        assert opik.pending == 5
        server.stop()
        server.mood = "well"
        server.start()
        assert await opik.flush() == Flushed(documents=3, scores=2)
        assert len(await opik.search_traces()) == 1
        await opik.close()

    asyncio.run(work())


def test_a_dead_server_opens_the_breaker(connect: Connect, server: StandIn) -> None:
    async def work() -> None:
        opik = connect(url=server.url)
        server.stop()
        await observe(opik)
        for _ in range(5):
            with pytest.raises(ToolUnavailable):
                await opik.flush()
        assert opik._guard.breaker.state is State.OPEN
        await opik.close()
        assert opik.pending == 5

    asyncio.run(work())


def test_a_refused_document_is_named_and_does_not_hold_up_the_others(connect: Connect) -> None:
    async def work() -> None:
        opik = connect()
        await observe(opik)
        await opik.log_feedback("not-an-id", "quality", 1.0)
        with pytest.raises(StepError, match=r"opik refuses 1 of 6 documents.*not-an-id"):
            await opik.flush()
        assert opik.pending == 0
        assert len(await opik.search_traces()) == 1
        await opik.close()

    asyncio.run(work())


def test_two_homes_and_a_server_work_side_by_side(connect: Connect, server: StandIn, tmp_path: Path) -> None:
    async def work() -> None:
        everyone = {
            "first": connect(tmp_path / "a"),
            "second": connect(tmp_path / "b"),
            "third": connect(tmp_path / "c", url=server.url),
            "again": connect(tmp_path / "a", project="other"),
        }
        for name, opik in everyone.items():
            async with opik.trace(name):
                pass
            opik.client.trace(name=f"{name} by the SDK")
            assert opik.client.flush(timeout=20)
            await opik.flush()
        for name, opik in everyone.items():
            held = {trace.name for trace in await opik.search_traces()}
            assert held == {name, f"{name} by the SDK"}
            await opik.close()

    asyncio.run(work())


def test_sampling_goes_by_the_trace_and_holds_for_all_that_belongs_to_it(connect: Connect) -> None:
    async def work() -> None:
        opik = connect(sampling_rate=0.5)
        ids = [await observe(opik) for _ in range(20)]
        expected = sum(is_sampled(trace, 0.5) for trace in ids)
        assert opik.pending == 5 * expected
        nothing = connect(sampling_rate=0.0)
        await observe(nothing)
        assert nothing.pending == 0

    asyncio.run(work())


def test_the_score_action_scores_the_runs_own_trace(ctx: LocalContext) -> None:
    async def work() -> None:
        outputs = await score(ScoreParams(name="approved", value=1, reason="by hand"), ctx)
        assert outputs.trace == trace_id(ctx.info.run)
        opik = ctx.connect(OpikConnector)
        async with opik.trace("test", trace_id=outputs.trace):
            pass
        await opik.flush()
        (trace,) = await opik.search_traces()
        assert [(s.name, s.value, s.reason) for s in trace.feedback_scores] == [("approved", 1.0, "by hand")]
        await opik.close()

    asyncio.run(work())


def test_the_api_key_is_never_shown() -> None:
    settings = OpikSettings(url="https://opik.example.com/api", api_key="s3cret")  # type: ignore[arg-type]
    assert "s3cret" not in f"{settings!r} {settings} {settings.model_dump_json()}"
    assert (settings.url, settings.address()) == ("https://opik.example.com/api/", ("opik.example.com", 443))
