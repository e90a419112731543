"""Calls of language models by a user's function become telemetry of its step, and nothing outside of a step."""

from __future__ import annotations

from pathlib import Path

import pytest

import e2i
from e2i.errors import StepError
from e2i.telemetry.bodies import FinishedStep, LLMCall, StartedRun, measurement, recorded
from e2i.telemetry.entries import Entry
from e2i.testing.context import LocalContext
from e2i.tools.opik.spans import build
from e2i.tools.python import CallParams, actions

CODE = """
import e2i

def ask(text: str, fail: bool = False) -> str:
    with e2i.llm_call("gpt-4o", provider="openai", name="answer") as call:
        call.input, call.output = text, "yes"
        call.tokens(1000, 100)
        if fail:
            raise RuntimeError("overloaded")
    return call.output
"""


def calls(tmp_path: Path, **arguments: object) -> list[LLMCall]:
    ctx = LocalContext(tmp_path)
    (ctx.workspace / "ask.py").write_text(CODE)
    params = CallParams(file="ask.py", function="ask", arguments={"text": "why", **arguments})
    if "fail" in arguments:
        with pytest.raises(StepError):
            actions.call(params, ctx)
    else:
        assert actions.call(params, ctx).value == "yes"
    return ctx.calls


def test_a_call_is_a_span_below_the_step_with_its_cost(tmp_path: Path) -> None:
    (call,) = calls(tmp_path)
    assert (call.step, call.model, call.input, call.output) == ("step", "gpt-4o", "why", "yes")
    assert measurement(recorded(call)) == call
    started = StartedRun(pipeline="p", params={}, started_ms=1)  # type: ignore[arg-type]  # plain values
    finished = FinishedStep(
        step="step",
        uses="python.call",
        agent=None,
        status="succeeded",
        attempts=(),
        started_ms=1,
        ended_ms=2,
        needs=(),
        inputs=None,
        outputs=None,
        error=None,
        group=None,
    )
    bodies = [recorded(body) for body in (started, call, call, finished)]
    traced = build([Entry(f"k{i}", "opik", "r", kind, content) for i, (kind, content) in enumerate(bodies)], "e2i")
    spans = [span for span in traced.spans.values() if span["type"] == "llm"]
    (step,) = [span for span in traced.spans.values() if span["type"] == "tool"]
    assert len(spans) == 2 and {span["parent_span_id"] for span in spans} == {step["id"]}
    assert spans[0]["usage"] == {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    assert spans[0]["total_estimated_cost"] == pytest.approx(1000 * 2.5e-6 + 100 * 10e-6)
    assert (spans[0]["model"], spans[0]["provider"], spans[0]["name"]) == ("gpt-4o", "openai", "answer")


def test_a_call_that_fails_is_recorded_with_its_error(tmp_path: Path) -> None:
    (call,) = calls(tmp_path, fail=True)
    assert call.error == "RuntimeError: overloaded"


def test_outside_of_a_step_nothing_is_recorded() -> None:
    with e2i.llm_call("gpt-4o") as call:
        call.tokens(1, 2)
        with pytest.raises(ValueError, match="counts from 0 on"):
            call.tokens(-1, 2)
