"""The end of a run says what is missing, what waits, and what to do about it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from msgspec.structs import replace

from e2i.catalog.step_error import ErrorDocument
from e2i.cli import summary_view
from e2i.documents import OutputValues
from e2i.execution.record import RunRecord, StepRecord
from e2i.execution.state import Status
from e2i.telemetry.outbox import Tally
from printed import parse

DOWN = ErrorDocument(code="tool-unavailable", message="MLflow at mlflow:5000 does not answer", hint=None, details=None)
COMPLETE = RunRecord(
    run="20261129-120000-abcdef",
    pipeline="churn",
    status="succeeded",
    started_ms=0,
    ended_ms=61_500,
    steps={"train": StepRecord("train", "model.train", Status.SUCCEEDED, 1, 60.0)},
    outputs={},
    store=Path("/srv/churn/.e2i"),
    telemetry={"mlflow": Tally(delivered=12), "opik": Tally(delivered=12)},
)
WHOLE = """
churn: succeeded in 61.5 s (1 succeeded)

where things are
  run        e2i show 20261129-120000-abcdef
  report     e2i report 20261129-120000-abcdef
  store      /srv/churn/.e2i
"""
DEGRADED = """
churn: succeeded, degraded in 61.5 s (1 succeeded, 1 deferred, 2 skipped)

where things are
  run        e2i show 20261129-120000-abcdef --store /srv/churn/.e2i
  report     e2i report 20261129-120000-abcdef --store /srv/churn/.e2i
  store      /srv/churn/.e2i

what is missing
  register was deferred: MLflow at mlflow:5000 does not answer
  score was skipped: MLflow at mlflow:5000 does not answer
  → e2i sync --store /srv/churn/.e2i --profile staging executes what was deferred, and the steps below, when the tool \
is back
  83 entries for mlflow waiting in the outbox: circuit open, next attempt in 25.3 s
  1 entry refused by opik and kept
  7 entries of other runs waiting for another opik than this one
  → e2i sync --store /srv/churn/.e2i --profile staging delivers what waits; e2i outbox list --store /srv/churn/.e2i \
shows it
  → e2i outbox list --store /srv/churn/.e2i shows why; e2i outbox retry --store /srv/churn/.e2i queues it again
  → e2i outbox list --store /srv/churn/.e2i shows for which address, and of which profile
  990 values of metrics not recorded: the outbox was full (outbox_limit)
"""


def test_a_complete_run_says_nothing_of_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    summary_view.show(COMPLETE)
    assert capsys.readouterr().out == WHOLE


def test_an_endpoint_is_shown_once_and_not_after_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    def step(name: str, uses: str, endpoint: str) -> StepRecord:
        outputs = {"endpoint": {"type": "endpoint", "name": endpoint, "url": f"http://127.0.0.1:1/{endpoint}"}}
        return StepRecord(name, uses, Status.SUCCEEDED, 1, 0.1, outputs=OutputValues(outputs))

    ended = StepRecord("end", "bentoml.undeploy", Status.SUCCEEDED, 1, 0.1, outputs=OutputValues({"name": "old"}))
    steps = {
        "deploy": step("deploy", "bentoml.deploy", "new"),
        "old": step("old", "bentoml.deploy", "old"),
        "canary": step("canary", "bentoml.update_traffic", "new"),
        "end": ended,
    }
    summary_view.show(replace(COMPLETE, steps=steps))
    shown = [line.strip() for line in capsys.readouterr().out.splitlines() if "endpoint" in line]
    assert shown == ["endpoint   new: http://127.0.0.1:1/new (canary.endpoint)"]


def test_a_degraded_run_says_what_is_missing_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    record = replace(
        COMPLETE,
        steps={
            **COMPLETE.steps,
            "register": StepRecord("register", "mlflow.register", Status.DEFERRED, 1, 0.1, error=DOWN),
            "promote": StepRecord("promote", "mlflow.promote", Status.SKIPPED),
            "score": StepRecord("score", "mlflow.evaluate", Status.SKIPPED, 1, 0.1, error=DOWN),
        },
        telemetry={
            "mlflow": Tally(left=83, problem="circuit open, next attempt in 25.3 s"),
            "opik": Tally(delivered=80, dead_lettered=1, elsewhere=7),
        },
        thinned=990,
    )
    summary_view.show(record, " --store /srv/churn/.e2i", " --profile staging")
    assert capsys.readouterr().out == DEGRADED
    printed = re.findall(r"e2i (?:show|report|sync|outbox (?:list|retry))(?: (?:--?\S+ \S+|2026\S+))*", DEGRADED)
    assert len(printed) == 8
    for command in printed:
        parse(*shlex.split(command)[1:])
