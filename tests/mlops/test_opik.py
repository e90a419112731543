"""``OpikConnector``, embedded and against a server on loopback that speaks Opik's routes; read back with Opik's SDK."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from e2i.errors import ToolUnavailable
from e2i.mlops import OpikConfig, OpikConnector, Span
from e2i.mlops.tracing import child, current, traced
from e2i.tools.opik.client import open_client
from e2i.tools.opik.identity import adopted, is_sampled, uuid7
from tools.opik.conftest import loopback_only, server  # noqa: F401 - fixtures
from tools.opik.stand_in import StandIn

Read = Callable[[], Any]
PATIENT = 60.0
"""Seconds after which a call hangs, however busy the machine is."""


@pytest.fixture(autouse=True)
def clients(workspace: Path) -> Iterator[None]:
    """The workspace is the current folder; the SDK's own clients are afterwards as they were."""
    from opik import config
    from opik.api_objects import opik_client

    session, finders = dict(config._SESSION_CACHE_DICT), list(sys.meta_path)
    yield
    opik_client.reset_global_client(end_client=False)
    config._SESSION_CACHE_DICT.clear()
    config._SESSION_CACHE_DICT.update(session)
    sys.meta_path[:] = finders


@pytest.fixture(params=["embedded", pytest.param("server", marks=pytest.mark.slow)])
def connector(request: pytest.FixtureRequest, server: StandIn) -> OpikConnector:  # noqa: F811 - a fixture
    where = {} if request.param == "embedded" else {"url": server.url}
    return OpikConnector(OpikConfig(deadline=PATIENT, **where))


@contextlib.contextmanager
def reading(opik: OpikConnector) -> Iterator[Any]:
    """The SDK's own client for the same place, when everything has been delivered."""
    assert opik.program.outgoing.flush("opik", opik.config, opik.guard, PATIENT)
    client = open_client(opik.config, opik.home)
    try:
        yield client
    finally:
        client.end(timeout=1, flush=False)


def spans(client: Any, trace: str) -> dict[str, Any]:
    return {span.name: span for span in client.search_spans(trace_id=trace)}


def test_what_an_agent_does_is_read_back_with_the_sdk(connector: OpikConnector) -> None:
    async def work() -> Span:
        async with connector.trace_agent("feature_analyzer", "interpret", metadata={"brand": "X"}) as span:
            span.input = {"rows": 3}
            span.set_attribute("tier", 0)
            span.add_event("cache miss", {"key": "k"})
            async with connector.trace_llm_call("gpt-4o", span, prompt_template="Explain {x}") as llm:
                llm.log_tokens(1000, 200)
                llm.output = "because"
            connector.log_metric("latency", 1.5)
            connector.log_metric("rows", 3, span)
            span.output = {"text": "done"}
            span.set_status("ok")
        connector.log_feedback(span.trace_id, 0.8, reason="clear")
        return span

    span = asyncio.run(work())
    connector._writer.written().result()
    with reading(connector) as client:
        trace, held = client.get_trace_content(span.trace_id), spans(client, span.trace_id)
    own, llm = held["feature_analyzer.interpret"], held["llm_call"]
    assert (trace.name, trace.input, trace.output) == ("feature_analyzer.interpret", {"rows": 3}, {"text": "done"})
    assert trace.end_time is not None
    assert trace.error_info is None
    scores = [(s.name, s.value, s.reason) for s in trace.feedback_scores]
    assert scores == [("latency", 1.5, None), ("quality", 0.8, "clear")]
    assert (own.id, own.parent_span_id, llm.parent_span_id) == (span.span_id, None, span.span_id)
    expected = {"agent_name": "feature_analyzer", "operation": "interpret", "environment": "default", "brand": "X"}
    assert expected.items() <= own.metadata.items()
    assert own.metadata["tier"] == 0
    assert [(event["name"], event["attributes"]) for event in own.metadata["events"]] == [("cache miss", {"key": "k"})]
    assert [(s.name, s.value) for s in own.feedback_scores] == [("rows", 3)]
    assert (llm.type, llm.model, llm.provider) == ("llm", "gpt-4o", "openai")
    assert (llm.usage["prompt_tokens"], llm.usage["total_tokens"]) == (1000, 1200)
    assert llm.total_estimated_cost == pytest.approx(1000 * 2.5e-6 + 200 * 1e-5)
    assert llm.metadata["prompt_template"] == "Explain {x}"
    assert llm.output == {"output": "because"}


def test_a_plain_with_does_the_same(connector: OpikConnector) -> None:
    with connector.trace_agent("a", "outer") as outer:
        with connector.trace_llm_call("some-model", outer, provider="own") as llm:
            llm.log_tokens(1, 2)
        with connector.trace_agent("b", "inner") as inner:
            assert current.get() is inner
        assert current.get() is outer
    assert current.get() is None
    with reading(connector) as client:
        held = spans(client, outer.trace_id)
    assert {name: span.parent_span_id for name, span in held.items()} == {
        "a.outer": None, "llm_call": outer.span_id, "b.inner": outer.span_id,
    }  # fmt: skip
    assert (held["llm_call"].provider, held["llm_call"].total_estimated_cost) == ("own", None)


def test_the_same_settings_are_the_same_object() -> None:
    assert OpikConnector() is OpikConnector()
    assert OpikConnector() is not OpikConnector(OpikConfig(project_name="other"))
    assert (OpikConnector().enabled, OpikConnector().state) == (True, "closed")


def test_agents_of_several_programs_share_a_trace_that_has_an_id_of_any_form(connector: OpikConnector) -> None:
    async def work() -> list[Span]:
        async with connector.trace_agent("first", "plan", trace_id="workflow 7") as one:
            pass
        async with connector.trace_agent("second", "act", trace_id="workflow 7", parent_span_id="step 1") as two:
            pass
        return [one, two]

    one, two = asyncio.run(work())
    assert one.trace_id == two.trace_id == adopted("workflow 7", "trace")
    connector.log_feedback("workflow 7", 1)
    connector._writer.written().result()
    with reading(connector) as client:
        trace, held = client.get_trace_content(one.trace_id), spans(client, one.trace_id)
    assert set(held) == {"first.plan", "second.act"}
    assert held["first.plan"].metadata["external_trace_id"] == "workflow 7"
    assert held["second.act"].metadata["external_parent_span_id"] == "step 1"
    assert held["second.act"].parent_span_id == adopted("step 1", "span")
    assert trace.name == "first.plan"
    assert trace.start_time == held["first.plan"].start_time
    assert trace.end_time == held["second.act"].end_time
    assert [(score.name, score.value) for score in trace.feedback_scores] == [("quality", 1)]


def test_a_trace_that_the_sdk_made_is_joined_and_stays_as_it_is(connector: OpikConnector) -> None:
    with reading(connector) as client:
        made = client.trace(name="made by the SDK", input={"a": 1})
        above = made.span(name="a span of it")
        assert client.flush(timeout=20)
        with connector.trace_agent("a", "joins", trace_id=made.id, parent_span_id=above.id) as span:
            pass
        assert (span.trace_id, span.parent_span_id) == (made.id, above.id)
    with reading(connector) as client:
        trace, held = client.get_trace_content(made.id), spans(client, made.id)
    assert (trace.name, trace.input, trace.end_time) == ("made by the SDK", {"a": 1}, None)
    assert held["a.joins"].parent_span_id == above.id


def test_a_parent_alone_gathers_its_spans_in_one_trace() -> None:
    opik = OpikConnector()
    traces = set()
    for operation in ("one", "two"):
        with opik.trace_agent("a", operation, parent_span_id="elsewhere") as span:
            traces.add(span.trace_id)
    assert len(traces) == 1


@pytest.mark.parametrize("error", [ValueError("no rows"), asyncio.CancelledError(), KeyboardInterrupt()], ids=repr)
def test_an_exception_ends_span_and_trace_and_passes_on(connector: OpikConnector, error: BaseException) -> None:
    seen: list[Span] = []

    async def work() -> None:
        async with connector.trace_agent("a", "fails") as span:
            seen.append(span)
            async with connector.trace_llm_call("m", span):
                raise error

    with pytest.raises(type(error)):
        asyncio.run(work())
    with reading(connector) as client:
        trace, held = client.get_trace_content(seen[0].trace_id), spans(client, seen[0].trace_id)
    for item in (trace, *held.values()):
        assert (item.error_info.exception_type, item.error_info.message) == (type(error).__name__, str(error))
        assert "raise error" in item.error_info.traceback
        assert item.end_time is not None


def test_a_status_can_be_set_and_taken_back(connector: OpikConnector) -> None:
    with connector.trace_agent("a", "weak") as weak:
        weak.set_status("error", "too weak")
    with connector.trace_agent("a", "strong") as strong:
        strong.set_status("error")
        strong.set_status("ok")
        for word in ("banana", "failed", "OK", None):
            with pytest.raises(ValueError, match=rf"unknown status {word!r}.*choose from: ok, error"):
                strong.set_status(word)  # type: ignore[arg-type] - what is refused
    with reading(connector) as client:
        assert client.get_trace_content(weak.trace_id).error_info.message == "too weak"
        assert client.get_trace_content(strong.trace_id).error_info is None


def test_values_that_json_does_not_have_are_kept_as_text() -> None:
    np = pytest.importorskip("numpy")
    opik = OpikConnector()
    with opik.trace_agent("a", "b") as span:
        span.input = [np.float64(0.5), float("nan"), {1, 2}]
        span.set_attribute("table", np.zeros((3, 2)))
        span.set_attribute("long", "x" * 100_000)
        span.output = object
    with reading(opik) as client:
        held = spans(client, span.trace_id)["a.b"]
    assert held.input == {"input": [0.5, "nan", [1, 2]]}
    assert held.metadata["table"] == "ndarray (3, 2)"
    assert len(held.metadata["long"]) < 33_000
    assert held.output == {"output": "<class 'object'>"}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda opik: opik.trace_agent("", "b"), "agent_name must be a text"),
        (lambda opik: opik.trace_agent("a", None), "operation must be a text"),
        (lambda opik: opik.trace_agent("a", "b", metadata=["x"]), "`metadata` is .*, not a mapping"),
        (lambda opik: opik.log_metric("auc", 0.7, "span"), "`span` is 'span', not a span"),
        (lambda opik: opik.trace_llm_call(None, None), "model must be a text"),
        (lambda opik: opik.trace_llm_call("m", "span"), "`parent_span` is 'span', not a span"),
        (lambda opik: opik.log_metric("auc", 0.7), "no trace is open for the metric 'auc'"),
        (lambda opik: opik.log_feedback("", 0.7), "`trace_id` must not be empty"),
        (lambda opik: opik.log_feedback("t", float("nan")), "must be a number"),
        (lambda opik: opik.log_feedback("t", "good"), "must be a number"),
        (lambda opik: opik.log_feedback("t", 1, ""), "the name of a score"),
        (lambda opik: opik.track_openai(object()), "object is no client of openai"),
    ],
)
def test_a_wrong_argument_raises_at_once(call: Callable[[OpikConnector], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call(OpikConnector())


@pytest.mark.parametrize("tokens", [(-1, 2), (1, 2.5), (True, 1)])
def test_tokens_are_whole_numbers(tokens: tuple[Any, Any]) -> None:
    with (
        OpikConnector().trace_llm_call("m", None) as llm,
        pytest.raises(ValueError, match="must be a whole number of at least 0"),
    ):
        llm.log_tokens(*tokens)


def test_sampling_goes_by_the_trace_and_holds_for_all_that_belongs_to_it() -> None:
    opik = OpikConnector(OpikConfig(sampling_rate=0.5, deadline=PATIENT))
    made = []
    for number in range(12):
        with opik.trace_agent("a", str(number)) as span, opik.trace_llm_call("m", span):
            opik.log_metric("m", number)
        opik.log_feedback(span.trace_id, 1)
        made.append(span.trace_id)
    opik._writer.written().result()
    with reading(opik) as client:
        held = {trace.id: trace for trace in client.search_traces()}
    assert set(held) == {trace for trace in made if is_sampled(trace, 0.5)}
    assert all(trace.span_count == 2 and len(trace.feedback_scores) == 2 for trace in held.values())


def test_the_environment_is_that_of_the_settings_or_the_profile(workspace: Path) -> None:
    (workspace / "config").mkdir()
    (workspace / "config" / "default.yaml").write_text("tools: {opik: {deadline: 60}}\n")
    (workspace / "config" / "staging.yaml").write_text("workers: 1\n")
    script = """
        from e2i.mlops import OpikConfig, OpikConnector
        for config in (None, OpikConfig(environment="canary")):
            with OpikConnector(config).trace_agent("a", "b") as span:
                print(span.metadata["environment"])
    """
    done = program(script, workspace, ENVIRONMENT="staging")
    assert done.stdout.split() == ["staging", "canary"], done.stderr


@pytest.mark.parametrize("mood", ["failing", "silent", "stopped"])
def test_an_outage_never_raises_and_everything_is_delivered_once_when_it_ends(server: StandIn, mood: Any) -> None:  # noqa: F811
    opik = OpikConnector(OpikConfig(url=server.url, deadline=1.0))
    server.stop() if mood == "stopped" else setattr(server, "mood", mood)

    async def work() -> Span:
        async with opik.trace_agent("a", "b") as span:
            async with opik.trace_llm_call("m", span) as llm:
                llm.log_tokens(1, 1)
            opik.log_metric("auc", 0.7)
        async with opik.trace_agent("a", "second"):
            pass
        return span

    span = asyncio.run(work())
    server.stop()
    server.mood = "well"
    server.start()
    until_delivered(opik)
    client = open_client(opik.config, opik.home)
    assert {trace.name for trace in client.search_traces()} == {"a.b", "a.second"}
    assert len(spans(client, span.trace_id)) == 2
    assert [score.value for score in client.get_trace_content(span.trace_id).feedback_scores] == [0.7]
    client.end(timeout=1, flush=False)


def until_delivered(opik: OpikConnector) -> None:
    ends = time.monotonic() + PATIENT
    while not opik.program.outgoing.flush("opik", opik.config, opik.guard, 5.0):
        assert time.monotonic() < ends, "not delivered"
        threading.Event().wait(0.2)


def test_the_end_of_a_trace_does_not_wait_for_a_server_that_is_down(server: StandIn) -> None:  # noqa: F811
    server.stop()
    opik = OpikConnector(OpikConfig(url=server.url, deadline=PATIENT))
    for _ in range(3):
        with opik.trace_agent("a", "b"):
            pass
    assert opik._not_before > time.monotonic()
    assert opik.program.outgoing.ask(lambda outbox: outbox.waiting("opik", opik._recorder._target)[0]) == 6


def program(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a program of its own in the folder."""
    import os

    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=folder,
        env={**kept, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_killed_program_keeps_its_finished_spans(workspace: Path) -> None:
    script = """
        import asyncio, os, signal
        from e2i.mlops import OpikConnector

        async def main():
            opik = OpikConnector()
            async with opik.trace_agent("a", "outer") as outer:
                async with opik.trace_agent("a", "inner") as inner:
                    inner.output = "done"
                print(outer.trace_id, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """
    done = program(script, workspace)
    assert done.returncode == -signal.SIGKILL, done.stderr
    opik = OpikConnector()
    with reading(opik) as client:
        trace, held = client.get_trace_content(done.stdout.strip()), spans(client, done.stdout.strip())
    assert (trace.name, trace.end_time) == ("a.outer", None)
    assert {name: span.output for name, span in held.items()} == {"a.inner": {"output": "done"}}


@pytest.mark.slow
def test_direct_calls_of_the_sdk_go_to_the_same_place(workspace: Path) -> None:
    script = """
        from e2i.mlops import OpikConfig, OpikConnector
        import sys

        opik = OpikConnector(OpikConfig(project_name="mine"))
        assert "opik" not in sys.modules
        with opik.trace_agent("a", "b"):
            pass

        import opik as sdk

        @sdk.track
        def tracked():
            return 1

        with opik.trace_agent("a", "c") as span:
            tracked()
        sdk.get_global_client().flush(timeout=30)
        client = sdk.Opik()
        print(sorted(trace.name for trace in client.search_traces(project_name="mine")))
        print(sorted((item.name, item.parent_span_id == span.span_id) for item in client.search_spans(project_name="mine", trace_id=span.trace_id)))
    """
    done = program(script, workspace, OPIK_SENTRY_ENABLE="false")
    names, nested = done.stdout.splitlines() or (done.stderr, "")
    assert names == "['a.b', 'a.c']", done.stderr
    assert nested == "[('a.c', False), ('tracked', True)]"
    assert not list(workspace.glob("opik*"))


# Spans of calls


class Client:
    """A connector as far as ``traced`` knows it."""

    tool = "feast"

    @traced
    async def ask(self, question: str, rows: Any = None) -> int:
        await asyncio.sleep(0)
        return len(question)

    @traced
    def add(self, a: int, b: int) -> int:
        return a + b

    @traced
    def fail(self) -> None:
        raise ValueError("no")


def test_calls_are_traced_inside_a_block_and_only_there(connector: OpikConnector) -> None:
    client = Client()
    assert (client.add(1, 2), asyncio.run(client.ask("why"))) == (3, 3)

    async def work() -> Span:
        async with connector.trace_agent("a", "calls") as span:
            assert await client.ask("why", rows={"a": [1]}) == 3
            assert client.add(1, b=2) == 3
            with pytest.raises(ValueError, match="no"):
                client.fail()
        return span

    span = asyncio.run(work())
    with reading(connector) as sdk:
        held = spans(sdk, span.trace_id)
    assert set(held) == {"a.calls", "feast.ask", "feast.add", "feast.fail"}
    assert held["feast.ask"].input == {"question": "why", "rows": "dict of 1"}
    assert (held["feast.add"].input, held["feast.add"].output) == ({"a": 1, "b": 2}, {"output": 3})
    assert held["feast.fail"].error_info.message == "no"
    assert {item.parent_span_id for name, item in held.items() if name != "a.calls"} == {span.span_id}


def test_spans_nest_in_tasks_threads_and_several_loops() -> None:
    opik = OpikConnector()
    parents: dict[str, str | None] = {}

    async def branch(name: str) -> None:
        async with opik.trace_agent("branch", name) as own:
            await asyncio.sleep(0.01)
            with child(f"step {name}") as below:
                assert below is not None
                await asyncio.sleep(0.01)
                assert current.get() is below
                parents[below.name] = below.parent_span_id
                assert below.parent_span_id == own.span_id
            parents[own.name] = own.parent_span_id

    async def work(name: str) -> Span:
        async with opik.trace_agent("root", name) as root:
            await asyncio.gather(*(branch(f"{name}{number}") for number in range(4)))
            await asyncio.to_thread(lambda: asyncio.run(branch(f"{name} in a thread")))
        return root

    roots: dict[str, Span] = {}
    threads = [threading.Thread(target=lambda n=n: roots.update({n: asyncio.run(work(n))})) for n in ("x", "y")]
    context = contextvars.copy_context()
    threads.append(threading.Thread(target=lambda: context.run(lambda: roots.update(z=asyncio.run(work("z"))))))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, root in roots.items():
        own = [parent for item, parent in parents.items() if item.startswith(f"branch.{name}")]
        assert own == [root.span_id] * 5
    assert len({root.trace_id for root in roots.values()}) == 3


def test_a_child_that_outlives_its_trace_is_kept(connector: OpikConnector) -> None:
    async def late(span: Span) -> None:
        async with connector.trace_agent("a", "late"):
            await asyncio.sleep(0.02)

    async def work() -> Span:
        async with connector.trace_agent("a", "early") as span:
            task = asyncio.create_task(late(span))
            await asyncio.sleep(0)
        await task
        return span

    span = asyncio.run(work())
    with reading(connector) as client:
        assert client.get_trace_content(span.trace_id).end_time is not None
        assert spans(client, span.trace_id)["a.late"].parent_span_id == span.span_id


def test_the_disk_is_never_touched_in_the_thread_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    opik = OpikConnector(OpikConfig(environment="threads"))
    threads: set[int] = set()
    put = opik.program.outgoing.put
    monkeypatch.setattr(
        opik.program.outgoing, "put", lambda entries: (threads.add(threading.get_ident()), put(entries))
    )

    async def work() -> None:
        async with opik.trace_agent("a", "b") as span:
            opik.log_metric("m", 1)
            with opik.trace_agent("a", "plain with in a loop"):
                pass
            opik.log_feedback(span.trace_id, 1)

    asyncio.run(work())
    assert threads
    assert threading.get_ident() not in threads


def test_an_outbox_that_cannot_be_written_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opik = OpikConnector(OpikConfig(environment="full"))

    def full(entries: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(opik.program.outgoing, "put", full)
    with opik.trace_agent("a", "b"):
        pass
    assert "2 document(s) for Opik are lost: OSError: [Errno 28] No space left on device" in caplog.text


# Evaluations

CASES = [
    {"id": 1, "input": "fr", "expected_output": "Paris", "output": "paris"},
    {"id": 2, "input": "it", "expected_output": "Rome", "output": "milano"},
    {"id": 1, "input": "fr", "expected_output": "Paris", "output": "paris"},
    {"id": 3, "input": "de", "expected_output": "Berlin", "output": '{"city": "Berlin"}'},
]
METRICS = ("equals", "contains", "regex_match", "levenshtein_ratio", "is_json")


def length(case: Mapping[str, Any], output: str) -> int:
    return len(output) if case["id"] else 0


def test_an_evaluation_is_opiks_own_and_is_kept_as_an_experiment(connector: OpikConnector) -> None:
    from opik.evaluation.metrics import Equals

    metrics = [*METRICS, Equals(case_sensitive=True, name="exact", track=False), length]

    async def work() -> tuple[dict[str, float], Span]:
        async with connector.trace_agent("geographer", "evaluate") as span:
            return await connector.evaluate_agent("geographer", CASES, metrics), span

    means, span = asyncio.run(work())
    assert list(means) == [*METRICS, "exact", "length"]
    levenshtein = means.pop("levenshtein_ratio")
    assert means == {
        "equals": 0.5, "contains": 0.75, "regex_match": 0.25, "is_json": 0.25, "exact": 0.0,
        "length": (5 + 6 + 5 + 18) / 4,
    }  # fmt: skip
    assert 0.5 < levenshtein < 0.8
    with reading(connector) as client:
        name = spans(client, span.trace_id)["opik.evaluate_agent"].metadata["experiment"]
        (experiment,) = client.get_experiments_by_name(name)
        items = experiment.get_items()
        data = experiment.get_experiment_data()
    assert sorted(item.evaluation_task_output["output"] for item in items) == sorted(c["output"] for c in CASES)
    assert {item.dataset_item_data["case_id"] for item in items} == {1, 2, 3}
    assert {score.name: score.value for score in data.feedback_scores} == pytest.approx(
        {**means, "levenshtein_ratio": levenshtein}
    )
    assert data.status == "completed"
    assert data.metadata["agent_name"] == "geographer"


@pytest.mark.slow
def test_scores_are_equal_embedded_and_against_a_server(server: StandIn) -> None:  # noqa: F811
    def scores(**settings: Any) -> dict[str, float]:
        opik = OpikConnector(OpikConfig(deadline=PATIENT, **settings))
        return asyncio.run(opik.evaluate_agent("geographer", CASES, [*METRICS, length]))

    assert scores() == scores(url=server.url)
    assert server.requests["POST /api/v1/private/experiments"] == 1


def test_a_task_is_called_for_each_case_and_its_spans_are_in_the_experiments_traces(connector: OpikConnector) -> None:
    loops: set[asyncio.AbstractEventLoop] = set()

    async def answer(case: Mapping[str, Any]) -> dict[str, Any]:
        loops.add(asyncio.get_running_loop())
        async with connector.trace_agent("geographer", "answer"):
            await asyncio.sleep(0.01)
        return {"output": case["expected_output"], "confidence": 1}

    def plain(case: Mapping[str, Any]) -> dict[str, Any]:
        return {"output": case["expected_output"].upper()}

    async def work() -> None:
        assert await connector.evaluate_agent("geographer", CASES, ["equals"], task=answer) == {"equals": 1.0}
        assert await connector.evaluate_agent("geographer", CASES, ["equals"], task=plain) == {"equals": 1.0}
        assert loops == {asyncio.get_running_loop()}

    asyncio.run(work())
    with reading(connector) as client:
        traces = client.search_traces(filter_string='name = "evaluation_task"')
        held = [spans(client, trace.id) for trace in traces]
    assert len(held) == 2 * len(CASES)
    assert sum("geographer.answer" in names for names in held) == len(CASES)


def test_what_a_task_raises_is_raised(connector: OpikConnector) -> None:
    called = []

    def broken(case: Mapping[str, Any]) -> dict[str, Any]:
        called.append(case)
        raise LookupError("no such city")

    def wrong(case: Mapping[str, Any]) -> str:
        return "Paris"

    with pytest.raises(LookupError, match="no such city"):
        asyncio.run(connector.evaluate_agent("g", CASES, ["equals"], task=broken))
    assert called == CASES[:1]
    with pytest.raises(ValueError, match=r'the task returned str for test case 0.*"output"'):
        asyncio.run(connector.evaluate_agent("g", CASES, ["equals"], task=wrong))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cases", "metrics", "said"),
    [
        ([], ["equals"], "test_cases must not be empty"),
        (CASES, [], "metrics must not be empty"),
        (CASES, ["equalz"], r"unknown metric 'equalz' \(did you mean \"equals\""),
        (CASES, ["hallucination"], r"pass an object.*opik\.evaluation\.metrics\.Hallucination"),
        (CASES, ["equals", "equals"], "two metrics have the name 'equals'"),
        (CASES, [7], "7 is no metric"),
        (["Paris"], ["equals"], "test case 0 is a str"),
        ([{"input": 1}], ["equals"], "test case 0 has no output"),
        ([{"input": 1, "output": "a"}], ["equals"], "the metric 'equals' needs 'expected_output'"),
        ([{"output": "a", "expected_output": "("}], ["regex_match"], "'regex_match' failed for every test case"),
        ([{"output": "a"}], [lambda case, output: "good"], "failed for every test case: could not convert string"),
    ],
)
def test_wrong_cases_and_metrics_are_said_at_once(cases: Any, metrics: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        asyncio.run(OpikConnector().evaluate_agent("g", cases, metrics))


def test_a_metric_whose_package_is_missing_says_how_to_install_it() -> None:
    with pytest.raises(ToolUnavailable) as caught:
        asyncio.run(OpikConnector().evaluate_agent("g", CASES, ["rouge"]))
    assert (caught.value.code, caught.value.hint) == ("tool-missing", "pip install rouge-score")


def test_every_metric_of_opik_that_needs_no_model_has_a_name() -> None:
    from e2i.tools.opik.metrics import heuristics

    names = set(heuristics())
    assert {*METRICS, "gleu", "chrf", "rouge", "sentence_bleu", "js_divergence", "spearman_ranking"} <= names


@pytest.mark.parametrize("mood", ["stopped", "silent", "failing"])
def test_an_evaluation_says_that_opik_is_down_before_it_calls_the_task(server: StandIn, mood: Any) -> None:  # noqa: F811
    server.stop() if mood == "stopped" else setattr(server, "mood", mood)
    called = []
    with pytest.raises(ToolUnavailable):
        asyncio.run(
            OpikConnector(OpikConfig(url=server.url, deadline=2.0)).evaluate_agent(
                "g", CASES, ["equals"], task=lambda case: called.append(case) or {"output": ""}
            )
        )
    assert called == []


# Clients of language models


class Chat(BaseHTTPRequestHandler):
    """Answers every request as a chat of OpenAI."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        message = {"role": "assistant", "content": "Paris"}
        usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        body = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [choice]}
        content = json.dumps({**body, "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Says nothing."""


def test_calls_of_a_tracked_client_are_below_the_open_span(connector: OpikConnector) -> None:
    openai = pytest.importorskip("openai")
    import opik

    web = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{web.server_port}/v1", api_key="none", max_retries=0)
        assert connector.track_openai(client) is client
        assert connector.track_openai(client) is client
        with connector.trace_agent("a", "asks") as span:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "France?"}])
        assert opik.get_global_client().flush(timeout=30)
    finally:
        web.shutdown()
        web.server_close()
    with reading(connector) as sdk:
        held = spans(sdk, span.trace_id)
    call = held["chat_completion_create"]
    assert (call.parent_span_id, call.type, call.model) == (span.span_id, "llm", "gpt-4o")
    assert call.usage["total_tokens"] == 12


@pytest.mark.slow
def test_what_the_sdk_sends_while_opik_is_down_is_delivered_later(server: StandIn) -> None:  # noqa: F811
    import opik

    server.stop()
    connector = OpikConnector(OpikConfig(url=server.url, deadline=2.0, environment="sdk"))

    @opik.track
    def tracked() -> int:
        opik.opik_context.update_current_span(feedback_scores=[{"name": "auc", "value": 0.7}])
        return 1

    with connector.trace_agent("a", "outer") as span:
        tracked()
    tracked()
    assert opik.get_global_client().flush(timeout=30)
    assert server.requests == {}
    server.start()
    until_delivered(connector)
    client = open_client(connector.config, connector.home)
    assert {trace.name for trace in client.search_traces()} == {"a.outer", "tracked"}
    nested = spans(client, span.trace_id)["tracked"]
    assert nested.parent_span_id == span.span_id
    assert [(score.name, score.value) for score in nested.feedback_scores] == [("auc", 0.7)]
    client.end(timeout=1, flush=False)


@pytest.mark.slow
def test_a_client_with_another_key_or_workspace_sends_by_itself(server: StandIn) -> None:  # noqa: F811
    import opik

    OpikConnector(OpikConfig(url=server.url, api_key="own-key-0815", environment="others"))
    other = opik.Opik(
        host=server.url, api_key="other-key-4711", project_name="other", _show_misconfiguration_message=False
    )
    other.trace(name="direct")
    assert other.flush(timeout=30)
    assert server.requests["POST /api/v1/private/traces/batch"] + server.requests["POST /api/v1/private/traces"] == 1
    assert server.keys == {"other-key-4711"}
    other.end(timeout=1, flush=False)


@pytest.mark.parametrize("library", ["anthropic", "openai"])
def test_a_client_whose_sdk_is_missing_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ToolUnavailable) as caught:
        getattr(OpikConnector(), f"track_{library}")(object())
    assert (caught.value.code, caught.value.hint) == ("tool-missing", f"pip install {library}")


def test_anthropics_client_is_tracked_by_the_sdks_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    anthropic, integration = ModuleType("anthropic"), ModuleType("opik.integrations.anthropic")
    own = type("Anthropic", (), {"__module__": "anthropic"})()
    seen = []
    integration.track_anthropic = lambda client, project_name: seen.append(project_name) or client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "anthropic", anthropic)
    monkeypatch.setitem(sys.modules, "opik.integrations.anthropic", integration)
    assert OpikConnector(OpikConfig(project_name="mine")).track_anthropic(own) is own
    assert seen == ["mine"]


def test_ids_that_opik_accepts_are_kept() -> None:
    own = uuid7(1, "a")
    assert adopted(own, "trace") == own
    assert adopted(own.upper(), "trace") == own
    assert adopted("7a0eb2b0-9c5b-4a0e-8d0e-0a0a0a0a0a0a", "trace") != adopted("7a0eb2b0", "trace")
    assert adopted("x", "trace") != adopted("x", "span")
