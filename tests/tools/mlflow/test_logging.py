"""``mlflow.log``: what a step logs is in the run of the pipeline once, in the forms that MLflow shows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from context import LocalContext
from e2i.catalog.artifacts import File, Report, Table
from e2i.telemetry.entries import Entry
from e2i.tools.mlflow import MLflowSettings, recording
from e2i.tools.mlflow.actions import log
from e2i.tools.mlflow.asked import LogParams
from e2i.tools.mlflow.sink import open_sink

mlflow = pytest.importorskip("mlflow")


def rows(count: int = 3) -> pd.DataFrame:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    return pd.DataFrame(
        {"name": ["a", "b", None][:count], "value": [0.5, float("nan"), 2.0][:count], "at": [at] * count}
    )


def kept(ctx: LocalContext) -> tuple[Report, File]:
    """A figure and a file of other steps."""
    figure, text = ctx.scratch / "figure", ctx.scratch / "text"
    figure.write_bytes(b"\x89PNG\r\n\x1a\n")
    text.write_text("notes")
    return (
        ctx.keep(figure, Report, media_type="image/png", title="A figure"),
        ctx.keep(text, File, name="notes.md", bytes=5),
    )


def test_everything_that_a_step_logs_is_in_the_run_once(ctx: LocalContext, monkeypatch: pytest.MonkeyPatch) -> None:
    figure, file = kept(ctx)
    params = LogParams(
        metrics={"auc": 0.75, "none": None},
        step=3,
        parameters={"rows": 3, "name": "x", "on": True},
        tables={"tables/small": ctx.table(rows())},
        files={"notes": file},
        figures={"plots/one": figure},
    )
    outputs = log(params, ctx)
    assert outputs.metrics == {"step/auc": 0.75}
    assert outputs.artifacts == ("notes.md", "plots/one.png", "tables/small.json")
    started = {"pipeline": "p", "params": {}, "spec": "s", "started_ms": 1_000, "profile": "dev"}
    entries = [Entry("k0", "mlflow", "run-1", "run.started", started)]
    entries.append(
        Entry("k1", "mlflow", "run-1", "metric", {"step": "step", "name": "auc", "value": 0.75, "index": 3, "at_ms": 5})
    )
    for path, artifact in ctx.attachments.items():
        entries.append(
            Entry(f"k{path}", "mlflow", "run-1", "attachment", {"step": "step", "name": path, "artifact": artifact})
        )
    for _ in range(2):  # a delivery whose answer was lost is made again
        sink = open_sink(MLflowSettings(), ctx.home("mlflow"), ctx.open)
        sink.deliver(entries)
        sink.close()
    client = mlflow.MlflowClient(f"sqlite:///{ctx.home('mlflow') / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("p").experiment_id])
    assert [(item.value, item.step) for item in client.get_metric_history(run.info.run_id, "step/auc")] == [(0.75, 3)]
    folder = Path(client.download_artifacts(run.info.run_id, "", str(ctx.scratch)))
    assert (folder / "notes.md").read_text() == "notes" and (folder / "plots" / "one.png").exists()
    table = json.loads((folder / "tables" / "small.json").read_text("utf-8"))
    assert table["columns"] == ["name", "value", "at"]
    assert table["data"][1] == ["b", None, "2026-01-02T00:00:00+00:00"] and table["data"][2][0] is None


def test_a_large_table_is_kept_as_it_is_and_a_nested_run_has_plain_names(
    ctx: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "SHOWN_ROWS", 2)
    table = ctx.table(rows())
    assert log(LogParams(tables={"big.json": table, "two": ctx.table(rows(2))}), ctx).artifacts == (
        "big.arrow",
        "two.json",
    )
    assert ctx.attachments["big.arrow"]["digest"] == table.digest
    outputs = log(LogParams(nested="fold 1", metrics={"auc": 0.5}, parameters={"fold": 1}), ctx)
    assert outputs.metrics == {"auc": 0.5} and outputs.artifacts == ()
    (child,) = ctx.children
    assert (child.name, child.status, child.params, child.metrics) == ("fold 1", "finished", {"fold": 1}, {"auc": 0.5})


TABLE = Table(digest=f"sha256:{'0' * 64}", columns=(), rows=1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "at least one of"),
        ({"tables": {"../x": TABLE}}, "pattern"),
        ({"tables": {"a/.x": TABLE}}, "pattern"),
        ({"tables": {"/x": TABLE}}, "pattern"),
        ({"tables": {"x.csv": TABLE}}, "without .csv"),
        ({"tables": {"x": TABLE, "x.json": TABLE}}, "two artifacts"),
        ({"metrics": {"a": float("nan")}}, "finite"),
        ({"nested": "x", "tables": {"x": TABLE}, "metrics": {"a": 1}}, "metrics and parameters only"),
    ],
)
def test_what_cannot_be_logged_is_refused_before_the_run(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        LogParams.model_validate(given)
