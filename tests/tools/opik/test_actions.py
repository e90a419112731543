"""opik.evaluate and opik.score, embedded and against a server on loopback; read back with Opik's SDK."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from context import PATIENT, LocalContext
from e2i.catalog.columns import KnownTable
from e2i.catalog.files import NO_FILES
from e2i.errors import StepError
from e2i.settings import Settings
from e2i.tools.opik import EvaluateOutputs, EvaluateParams, ScoreParams, columns, effects
from e2i.tools.opik.actions import evaluate, score
from e2i.tools.opik.client import open_client
from e2i.tools.opik.connector import GuardedOpik
from e2i.tools.opik.identity import is_sampled, trace_id, uuid7
from tools.opik.stand_in import StandIn

METRICS = ("equals", "contains", "levenshtein_ratio")


def cases(count: int) -> pd.DataFrame:
    """Cases of which a third is answered exactly, a third in a sentence, and a third wrongly."""
    expected = [f"city {number}" for number in range(count)]
    given = [(name, f"It is {name}.", "nowhere")[number % 3] for number, name in enumerate(expected)]
    return pd.DataFrame(
        {"input": [f"where is {n}?" for n in range(count)], "expected_output": expected, "output": given}
    )


def at(root: Path, url: str | None) -> LocalContext:
    settings = {**PATIENT.tools["opik"], **({} if url is None else {"url": url})}
    return LocalContext(root, settings=Settings(tools={"opik": settings}))


def run(ctx: LocalContext, **params: Any) -> EvaluateOutputs:
    given = {"table": ctx.table(cases(100)), "metrics": METRICS, **params}
    return asyncio.run(evaluate(EvaluateParams(name="geographer", **given), ctx))


@pytest.mark.slow
def test_100_cases_have_equal_scores_embedded_and_on_a_server_once_after_retries(
    tmp_path: Path, server: StandIn
) -> None:
    there = at(tmp_path / "there", server.url)
    embedded, remote = run(at(tmp_path / "here", None)), run(there)
    assert embedded.scores == remote.scores and embedded.cases == 100
    assert embedded.scores["equals"] == pytest.approx(0.34) and embedded.scores["contains"] == pytest.approx(0.67)
    table = there.frame(remote.table)
    assert table.equals(at(tmp_path / "here", None).frame(embedded.table))
    assert table["case"].tolist() == list(range(100)) and table["output"][1] == "It is city 1."
    known = columns.evaluate({"table": None, "metrics": METRICS, "task": None, "scorer": None}, NO_FILES)
    expected = known.outputs["table"]
    assert isinstance(expected, KnownTable)
    assert expected.columns == {column.name: column.type for column in remote.table.columns}
    made = server.requests["POST /api/v1/private/experiments"]
    for ctx, outputs in ((there, remote), (at(tmp_path / "here", None), embedded)):
        asked = effects.evaluate(None, outputs, ctx)  # type: ignore[arg-type]
        assert (asyncio.run(asked) if inspect.isawaitable(asked) else asked) is None
        gone = outputs.model_copy(update={"experiment": "geographer-gone"})
        asked = effects.evaluate(None, gone, ctx)  # type: ignore[arg-type]
        said = asyncio.run(asked) if inspect.isawaitable(asked) else asked
        assert said == "Opik has 0 of 100 cases of the experiment 'geographer-gone'"
    assert run(there) == remote and server.requests["POST /api/v1/private/experiments"] == made == 1
    connector = there.connect(GuardedOpik)
    client = open_client(connector._settings, connector._home)
    try:
        (experiment,) = client.get_experiments_by_name(remote.experiment)
        items = experiment.get_items()
        assert len(items) == 100 and experiment.get_experiment_data().status == "completed"
        by_case = {item.dataset_item_data["case_number"]: item for item in items}
        held = {found["name"]: found["value"] for found in by_case[1].feedback_scores}
        assert held == pytest.approx({name: table[name][1] for name in METRICS})
    finally:
        client.end(timeout=1, flush=False)


def test_an_experiment_that_was_left_incomplete_is_replaced(tmp_path: Path, server: StandIn) -> None:
    there = at(tmp_path / "there", server.url)
    few = {"table": there.table(cases(3)), "metrics": ("equals",)}
    first = run(there, **few)
    with server.backend._database() as database:
        database.execute("UPDATE experiments SET document = replace(document, '\"completed\"', '\"running\"')")
    again = run(there, **few)
    assert again == first
    with server.backend._database() as database:
        assert database.execute("SELECT count(*) FROM experiments").fetchone() == (1,)


def test_cases_of_the_spec_are_answered_and_scored_by_functions_of_the_workspace(
    ctx: LocalContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(case: Any) -> str:
        return str(case["input"]).upper()

    def length(case: Any, output: str) -> int:
        return len(output) + int(case["extra"])

    def broken(case: Any) -> str:
        raise LookupError("no such city")

    functions = {"answer": answer, "length": length, "broken": broken}
    monkeypatch.setattr(LocalContext, "run_file", lambda self, text: functions, raising=False)
    monkeypatch.setattr(LocalContext, "confirm_files", lambda self, patterns=(): None, raising=False)
    given: dict[str, Any] = {
        "table": None,
        "cases": [{"input": "a", "expected_output": "A", "extra": 1}, {"input": "bc", "expected_output": "x", "extra": 2}],
        "metrics": ("equals",),
        "scorer": {"file": "agent.py", "function": "length"},
    }  # fmt: skip
    found = run(ctx, task={"file": "agent.py", "function": "answer"}, **given)
    assert found.scores == {"equals": 1.0 / 2, "length": 3.0}
    assert ctx.frame(found.table).to_dict("list") == {
        "case": [0, 1], "output": ["A", "BC"], "equals": [1.0, 0.0], "length": [2.0, 4.0]
    }  # fmt: skip
    other = LocalContext(tmp_path, step="other")
    with pytest.raises(StepError, match="broken raised LookupError: no such city"):
        run(other, task={"file": "agent.py", "function": "broken"}, **given)
    with pytest.raises(StepError, match=r"agent\.py has no function 'other'"):
        run(other, task={"file": "agent.py", "function": "other"}, **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"metrics": ["equals"]}, "set either `cases` or `table`"),
        ({"cases": [{"output": "a"}]}, "set `metrics`, `scorer` or both"),
    ],
)
def test_parameters_that_are_not_whole_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        EvaluateParams(name="geographer", **given)


def test_any_trace_and_span_can_be_scored(tmp_path: Path, server: StandIn) -> None:
    there = at(tmp_path / "there", server.url)
    own = uuid7(1_790_000_000_000, "a program")
    found = asyncio.run(score(ScoreParams(name="quality", value=0.5, trace=own), there))
    assert found.trace == own and found.recorded
    foreign = asyncio.run(score(ScoreParams(name="quality", value=1, trace="req-17", span="call-3"), there))
    assert foreign.trace == trace_id("req-17")
    this = asyncio.run(score(ScoreParams(name="quality", value=0.25), there))
    assert this.trace == trace_id(there.info.run)
    with server.backend._database() as database:
        rows = database.execute("SELECT kind, id FROM scores").fetchall()
    assert len(rows) == 3 and ("traces", own) in rows and {kind for kind, _ in rows} == {"traces", "spans"}
    with pytest.raises(ValueError, match="`span` is in a trace"):
        ScoreParams(name="quality", value=1, span="call-3")


def test_sampling_is_decided_by_the_run_and_stays_when_it_is_resumed(tmp_path: Path) -> None:
    runs = [f"20261122-2315{second:02d}-a1b2c3" for second in range(60)]
    kept = [is_sampled(trace_id(run), 0.5) for run in runs]
    assert kept == [is_sampled(trace_id(run), 0.5) for run in runs] and 15 < sum(kept) < 45
    ctx = LocalContext(tmp_path, settings=Settings(tools={"opik": {"sampling_rate": 0.0}}))
    assert not asyncio.run(score(ScoreParams(name="quality", value=1), ctx)).recorded
