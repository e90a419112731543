"""Messages to and from a worker arrive as they were sent, whatever data is in them."""

from __future__ import annotations

import math

import pytest

from e2i.catalog.context import RunInfo
from e2i.telemetry.bodies import Attachment, Child, Metric, Param
from e2i.workers.executor import Failure, StepCall
from e2i.workers.messages import (
    Done,
    Execute,
    Outcome,
    Prepare,
    Progress,
    Ready,
    Report,
    Telemetry,
    encode,
    encode_report,
    order,
    report,
)

ODD = {"big": 2**100, "lone": "\ud800", "none": None, "deep": [[{"a": 1.5}]], "infinite": math.inf}
"""Plain data that fast encoders of JSON refuse or change."""
CALL = StepCall(
    uses="debug.echo",
    params=ODD,
    info=RunInfo("r", "p", "s", 2, "model_trainer", 7),
    seed=1,
    threads=2,
    fingerprint="sha256:x",
    timeout=math.inf,
    files={"a.csv": None},
    secrets=("hunter2",),
    known=ODD,
)


@pytest.mark.parametrize("message", [Prepare("optuna"), Execute(CALL, (0, 1)), Execute(CALL, (), claim=0)], ids=repr)
def test_an_order_arrives_as_it_was_sent(message: Prepare | Execute) -> None:
    assert order(encode(message).encode()) == message


@pytest.mark.parametrize(
    "message",
    [
        Ready(4711, 1 << 20),
        Progress(1, 20, "1 of 20"),
        Telemetry(
            (
                Param(step="s", name="depth", value=ODD),
                Metric(step="s", name="auc", value=0.5, index=3),
                Child(step="s", name="t", status="failed", started_ms=1, ended_ms=2, params=ODD, metrics={"n": 1}),
                Attachment(step="s", name="plot", artifact={"type": "report"}),
            )
        ),
        Done(outcome=Outcome(ODD, reused=True), seconds=0.5, held=1, peak=2, spent=False, cut=True),
        Done(
            outcome=Outcome({}, Failure("odd", "no rows", None, ODD, unavailable=True)),
            seconds=1,
            held=1,
            peak=2,
            spent=True,
            cut=False,
        ),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_report_arrives_as_it_was_sent(message: Report) -> None:
    assert report(encode_report(message).encode()) == message


def test_what_json_does_not_have_is_reported_as_text_and_refused_in_an_order() -> None:
    odd = Telemetry((Param(step="s", name="p", value=1 + 2j),))
    (param,) = report(encode_report(odd).encode()).measured  # type: ignore[union-attr]
    assert param.value == "(1+2j)"
    with pytest.raises(TypeError, match="complex is not plain data"):
        encode(Execute(StepCall("a.b", {"x": 1j}, RunInfo("r", "p", "s"), 1, 1, "", 1.0), ()))
