"""Bodies of entries: structs in the program, plain data beside their kind in the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2i.execution.telemetry import Telemetry
from e2i.store.runs import RunStore
from e2i.telemetry.bodies import Attachment, Child, FinishedRun, Measurement, Metric, Param, measurement, recorded

METRIC = Metric(step="train", name="loss", value=0.5, index=0, at_ms=3)
PARAM = Param(step="train", name="depth", value=None)
CHILD = Child(
    step="tune", name="trial-0000", status="finished", started_ms=1, ended_ms=2, params={"depth": 3}, metrics={"auc": 1}
)
ATTACHMENT = Attachment(step="train", name="shap", artifact={"type": "report", "digest": "sha256:x"})


@pytest.mark.parametrize("body", [METRIC, PARAM, CHILD, ATTACHMENT], ids=lambda body: type(body).__name__)
def test_a_stored_measurement_is_read_back_as_it_was(body: Measurement) -> None:
    kind, content = recorded(body)
    assert "kind" not in content
    assert measurement((kind, content)) == body


def test_what_is_no_measurement_is_not_read_as_one() -> None:
    with pytest.raises(ValueError, match=r"run\.finished"):
        measurement(recorded(FinishedRun(status="failed", ended_ms=2)))


@pytest.mark.parametrize(
    ("body", "key", "index"),
    [
        (METRIC, "r/train/metric/7989b5ae8d054a68249b", 0),
        (PARAM, "r/train/param/276476b605180347f3b6", None),
        (CHILD, "r/tune/child/baa8b03abdccaa21bfe2", 0),
        (ATTACHMENT, "r/train/attachment/cb7b69d529e3cb7dde05", None),
        (FinishedRun(status="failed", ended_ms=2), "r//run.finished/1000", None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_keys_do_not_change_so_that_a_run_of_an_earlier_version_can_be_resumed(
    tmp_path: Path, body: Measurement | FinishedRun, key: str, index: int | None
) -> None:
    run_store = RunStore(tmp_path, lambda digest: True)
    (entry,) = Telemetry("r", 1000, ("mlflow",), run_store, lambda: dict, limit=9).entries(body)
    run_store.close()
    assert (entry.key, entry.kind, entry.body.get("index")) == (key, recorded(body)[0], index)
    assert {**recorded(body)[1], **({"index": 0} if isinstance(body, Child) else {})} == entry.body
