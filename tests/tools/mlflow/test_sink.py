"""The sink, asked about with MLflow's own client."""

from __future__ import annotations

import contextlib
import math
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from context import LocalContext
from e2i.catalog.artifacts import Report
from e2i.errors import StepError, ToolUnavailable
from e2i.resilience.breaker import Breaker
from e2i.resilience.guard import Guard
from e2i.telemetry.dispatcher import Dispatcher
from e2i.telemetry.entries import Entry
from e2i.telemetry.outbox import Outbox
from e2i.tools.mlflow import TOOL, MLflowSettings, schema
from e2i.tools.mlflow.sink import open_sink
from project import held_port
from small_model import small_model

mlflow = pytest.importorskip("mlflow")

START = 1_700_000_000_000


def entry(number: int, kind: str, **body: Any) -> Entry:
    return Entry(f"key-{number}", "mlflow", "run-1", kind, body, number)


def whole_run(ctx: LocalContext) -> list[Entry]:
    """A run with everything in it: parameters, metrics, trials, a file, a folder, a model."""
    model, _ = small_model(ctx)
    page = ctx.scratch / "page"
    page.write_text("<p>report</p>")
    site = ctx.scratch / "site"
    (site / "static").mkdir(parents=True)
    (site / "index.html").write_text("<p>index</p>")
    (site / "static" / "style.css").write_text("p {}")
    report = ctx.keep(page, Report, media_type="text/html", title="Report")
    docs = ctx.keep(site, Report, media_type="text/html", title="Docs", entry="index.html")
    trials = [
        entry(
            100 + i,
            "child",
            step="tune",
            name=f"trial {i}",
            status="failed" if i == 2 else "finished",
            started_ms=START + i,
            ended_ms=START + i + 5,
            params={"depth": i, "booster": "gbtree", "fast": True},
            metrics={} if i == 2 else {"roc_auc": 0.5 + i / 10},
        )
        for i in range(4)
    ]
    times = {"started_ms": START, "ended_ms": START + 1500, "attempts": 1, "needs": [], "agent": None, "group": None}
    return [
        entry(
            1,
            "run.started",
            pipeline="flights",
            params={"trials": 4},
            spec="sha256:ab",
            started_ms=START,
            profile="dev",
        ),
        entry(2, "param", step="train", name="algorithm", value="XGBoost"),
        entry(3, "metric", step="train", name="roc_auc", value=0.8, index=0, at_ms=START + 1),
        entry(4, "metric", step="evaluate", name="roc_auc", value=0.7, index=0, at_ms=START + 2),
        *(
            entry(10 + i, "metric", step="train", name="loss", value=1 / (i + 1), index=i, at_ms=START + i)
            for i in range(9)
        ),
        *trials,
        entry(200, "attachment", step="evaluate", name="evaluation/report", artifact=report.model_dump(mode="json")),
        entry(201, "attachment", step="quality", name="docs", artifact=docs.model_dump(mode="json")),
        entry(202, "attachment", step="train", name="model", artifact=model.model_dump(mode="json")),
        entry(300, "step.finished", step="train", uses="model.train", status="succeeded", error=None, **times),
        entry(
            301,
            "step.finished",
            step="smoke",
            uses="bentoml.predict",
            status="failed",
            error={"message": "no"},
            **times,
        ),
        entry(400, "run.finished", status="failed", ended_ms=START + 9000),
    ]


def delivered(ctx: LocalContext, entries: list[Entry], **settings: Any) -> None:
    """Delivers with a new sink, as a dispatcher that was just started does."""
    sink = open_sink(MLflowSettings(**settings), ctx.home("mlflow"), ctx.open)
    sink.deliver(entries)
    sink.close()


def snapshot(ctx: LocalContext) -> Any:
    """Everything that MLflow's own client says of the run, in plain values."""
    client = mlflow.MlflowClient(f"sqlite:///{ctx.home('mlflow') / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("flights").experiment_id
    runs = client.search_runs([experiment], order_by=["attributes.start_time ASC"])
    histories = {
        (run.info.run_id, name): [
            (m.step, m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, name)
        ]
        for run in runs
        for name in run.data.metrics
    }
    rows = [
        (r.info.run_id, r.info.status, r.info.start_time, r.info.end_time, r.data.params, r.data.tags) for r in runs
    ]
    models = [(m.model_id, m.status, m.tags) for m in client.search_logged_models([experiment])]
    files = sorted(str(path) for path in (ctx.home("mlflow") / "artifacts").rglob("*") if path.is_file())
    outputs = [o.model_id for r in runs for o in (r.outputs.model_outputs if r.outputs else [])]
    return rows, histories, models, outputs, files


def test_a_run_reads_well_in_mlflow(ctx: LocalContext) -> None:
    delivered(ctx, whole_run(ctx))
    client = mlflow.MlflowClient(f"sqlite:///{ctx.home('mlflow') / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("flights").experiment_id
    (run,) = client.search_runs([experiment], "tags.`e2i.run` = 'run-1'")
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("FAILED", START, START + 9000)
    assert run.data.params == {"params.trials": "4", "train.algorithm": "XGBoost"}
    assert run.data.metrics == {"train/roc_auc": 0.8, "evaluate/roc_auc": 0.7, "train/loss": 1 / 9}
    assert [m.step for m in client.get_metric_history(run.info.run_id, "train/loss")] == list(range(9))
    assert run.data.tags["e2i.step.train"] == "succeeded, model.train, 1.50 s"
    assert run.data.tags["e2i.step.smoke"] == "failed, bentoml.predict, 1.50 s: no"
    trials = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
    assert {(t.info.run_name, t.info.status) for t in trials} == {
        ("trial 0", "FINISHED"),
        ("trial 1", "FINISHED"),
        ("trial 2", "FAILED"),
        ("trial 3", "FINISHED"),
    }
    best = max(trials, key=lambda trial: trial.data.metrics.get("roc_auc", 0))
    assert best.data.params == {"depth": "3", "booster": "gbtree", "fast": "true"}
    assert {f.path for f in client.list_artifacts(run.info.run_id)} == {"docs", "evaluation"}
    assert [f.path for f in client.list_artifacts(run.info.run_id, "evaluation")] == ["evaluation/report.html"]
    assert {f.path for f in client.list_artifacts(run.info.run_id, "docs")} == {"docs/index.html", "docs/static"}
    (logged,) = client.search_logged_models([experiment])
    assert (logged.name, logged.status, logged.model_type) == ("model", "READY", "XGBoost")


def test_a_sink_that_is_closed_leaves_the_embedded_database_in_one_file(ctx: LocalContext) -> None:
    delivered(ctx, whole_run(ctx))
    log = ctx.home("mlflow") / "mlflow.db-wal"
    assert not log.exists() or not log.stat().st_size


def test_delivering_everything_again_changes_nothing(ctx: LocalContext) -> None:
    entries = whole_run(ctx)
    delivered(ctx, entries)
    once = snapshot(ctx)
    delivered(ctx, entries)
    for one in entries:
        delivered(ctx, [one])
    delivered(ctx, entries[-1:])
    assert snapshot(ctx) == once


@pytest.mark.parametrize(
    "method",
    [
        "create_run",
        "log_batch",
        "set_terminated",
        "log_artifact",
        "log_model_artifacts",
        "log_outputs",
        "finalize_logged_model",
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_courier_killed_at_any_call_leaves_one_of_everything_once_it_is_run_again(
    ctx: LocalContext, monkeypatch: pytest.MonkeyPatch, method: str, when: str
) -> None:
    entries = whole_run(ctx)
    genuine = getattr(mlflow.MlflowClient, method)
    calls = iter(range(1000))

    def killed_on_the_second_call(*args: Any, **kwargs: Any) -> Any:
        number = next(calls)
        if number and when == "before":
            raise KeyboardInterrupt
        answer = genuine(*args, **kwargs)
        if number or method.endswith(("artifacts", "outputs", "model", "artifact")):
            raise KeyboardInterrupt
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(mlflow.MlflowClient, method, killed_on_the_second_call)
        with contextlib.suppress(KeyboardInterrupt):
            delivered(ctx, entries)
    delivered(ctx, entries)
    rows, histories, models, outputs, _ = snapshot(ctx)
    assert len(rows) == 5 and {row[1] for row in rows} == {"FINISHED", "FAILED"}
    assert len(models) == len(outputs) == 1 and models[0][1] == "READY"
    assert sum(len(history) for history in histories.values()) == 11 + 3


def test_a_resumed_run_runs_again_until_it_is_finished(ctx: LocalContext) -> None:
    entries = whole_run(ctx)
    delivered(ctx, entries)
    again = entry(500, "run.started", pipeline="flights", params={"trials": 4}, spec="sha256:ab", started_ms=START)
    delivered(ctx, [again])
    assert [row[1] for row in snapshot(ctx)[0]].count("RUNNING") == 1
    delivered(ctx, [entry(501, "run.finished", status="succeeded", ended_ms=START + 9500)])
    (parent,) = [row for row in snapshot(ctx)[0] if "e2i.run" in row[5]]
    assert (parent[1], parent[3]) == ("FINISHED", START + 9500)


def test_trials_may_be_series_instead_of_runs(ctx: LocalContext) -> None:
    delivered(ctx, whole_run(ctx), log_trials_as_children=False)
    rows, histories, *_ = snapshot(ctx)
    assert len(rows) == 1
    assert [value for _, value, _ in histories[rows[0][0], "tune/trials/roc_auc"]] == [0.5, 0.6, 0.8]


def test_many_metrics_go_in_few_requests(ctx: LocalContext, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [entry(i, "metric", step="s", name="m", value=i, index=i, at_ms=START) for i in range(2000)]
    calls: list[int] = []
    genuine = mlflow.MlflowClient.log_batch
    monkeypatch.setattr(
        mlflow.MlflowClient, "log_batch", lambda self, *a, **k: (calls.append(1), genuine(self, *a, **k))[1]
    )
    delivered(ctx, [whole_run(ctx)[0], *entries])
    assert len(calls) == 3


def test_an_attachment_cannot_lead_out_of_the_run(ctx: LocalContext) -> None:
    entries = whole_run(ctx)
    report = next(e for e in entries if e.kind == "attachment").body["artifact"]
    delivered(ctx, entries[:1])
    for name in ("../evil", "/etc/evil", "a/../../evil", ""):
        with pytest.raises(StepError, match="attachment"):
            delivered(ctx, [entry(9, "attachment", step="s", name=name, artifact=report)])


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the timeout of each opened connection, in seconds."""
    connect, found = socket.create_connection, list[float]()

    def connected(address: Any, timeout: float = math.inf, *rest: Any) -> socket.socket:
        found.append(timeout)
        return connect(address, timeout, *rest)

    monkeypatch.setattr(socket, "create_connection", connected)
    return found


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_a_dead_server_is_named_within_a_second(tmp_path: Path, scheme: str, waits: list[float]) -> None:
    with held_port() as port, pytest.raises(ToolUnavailable, match=f"127.0.0.1:{port}"):
        open_sink(MLflowSettings(tracking_uri=f"{scheme}://u:secret@127.0.0.1:{port}/db"), tmp_path, lambda _: tmp_path)
    assert sum(waits) <= 1


def test_a_silent_server_is_an_outage_within_the_deadline(tmp_path: Path, waits: list[float]) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ToolUnavailable):
            open_sink(MLflowSettings(tracking_uri=address), tmp_path, lambda _: tmp_path)
    assert 0 < sum(waits) < 5


def test_a_corrupt_database_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 500)
    with pytest.raises(ToolUnavailable, match="not a database") as caught:
        open_sink(MLflowSettings(), tmp_path, lambda _: tmp_path)
    assert str(tmp_path / "mlflow.db") in str(caught.value.hint)


def test_a_database_of_another_mlflow_is_named_with_what_to_do(tmp_path: Path) -> None:
    schema.create(tmp_path / "mlflow.db", tmp_path / "artifacts")
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'another'")
    with pytest.raises(ToolUnavailable) as caught:
        open_sink(MLflowSettings(), tmp_path, lambda _: tmp_path)
    assert caught.value.code == "mlflow-schema" and "mlflow db upgrade" in str(caught.value.hint)


def test_a_database_that_is_removed_in_the_middle_of_a_run_is_noticed_before_and_after_a_delivery(
    ctx: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, entries = ctx.home("mlflow"), whole_run(ctx)
    sink = open_sink(MLflowSettings(), home, ctx.open)
    sink.deliver(entries[:3])

    def remove(*_: Any, **__: Any) -> None:
        for file in home.glob("mlflow.db*"):
            file.unlink()

    genuine = mlflow.MlflowClient.log_batch
    with monkeypatch.context() as patched:
        patched.setattr(mlflow.MlflowClient, "log_batch", lambda *a, **k: (remove(), genuine(*a, **k)))
        with pytest.raises(ToolUnavailable) as caught:
            sink.deliver(entries[3:5])
    assert caught.value.code == "history-lost"
    with pytest.raises(ToolUnavailable, match="removed or replaced"):
        sink.deliver(entries[3:5])
    delivered(ctx, entries)
    assert {row[1] for row in snapshot(ctx)[0]} == {"FINISHED", "FAILED"}


def test_a_run_that_mlflow_no_longer_has_is_no_fault_of_the_entry(ctx: LocalContext) -> None:
    entries = whole_run(ctx)
    sink = open_sink(MLflowSettings(), ctx.home("mlflow"), ctx.open)
    sink.deliver(entries[:3])
    with contextlib.closing(sqlite3.connect(ctx.home("mlflow") / "mlflow.db")) as database, database:
        for table in ("params", "metrics", "latest_metrics", "tags", "runs"):
            database.execute(f"DELETE FROM {table}")
    with pytest.raises(ToolUnavailable) as caught:
        sink.deliver(entries[3:4])
    assert caught.value.code == "history-lost"


def test_entries_of_a_run_that_mlflow_does_not_know_make_no_other_run(ctx: LocalContext) -> None:
    entries = whole_run(ctx)
    with pytest.raises(StepError) as caught:
        delivered(ctx, entries[1:])
    assert caught.value.code == "run-unknown"
    delivered(ctx, entries)
    assert {row[1] for row in snapshot(ctx)[0]} == {"FINISHED", "FAILED"}


def test_a_locked_database_is_an_outage_and_the_entry_is_delivered_when_it_is_free(ctx: LocalContext) -> None:
    entries = whole_run(ctx)
    sink = open_sink(MLflowSettings(), ctx.home("mlflow"), ctx.open)
    sink.deliver(entries[:1])
    guard = Guard("mlflow", Breaker("mlflow"), deadline=0.5, outages=TOOL.outages)
    with Outbox(ctx.scratch / "state.db") as outbox:
        outbox.put(entries[1:4])
        dispatcher = Dispatcher(outbox, lambda name: sink, guard)
        with contextlib.closing(sqlite3.connect(ctx.home("mlflow") / "mlflow.db", isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            with pytest.raises(ToolUnavailable, match=r"within 0\.5 s"):
                dispatcher.deliver_once()
        assert outbox.depth() == {"mlflow": 3}
    delivered(ctx, entries[:4])
    assert [len(history) for history in snapshot(ctx)[1].values()] == [1, 1]


def test_what_a_request_that_was_given_up_writes_at_the_same_moment_is_no_reason_to_refuse(
    ctx: LocalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine, calls = mlflow.MlflowClient.log_batch, list[str]()

    def late(self: Any, run: str, **batch: Any) -> None:
        calls.append(run)
        if len(calls) == 1:  # the other one was between our look and our write
            genuine(self, run, **batch)
            raise mlflow.exceptions.MlflowException("(sqlite3.IntegrityError) UNIQUE constraint failed: params.key")
        genuine(self, run, **batch)

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", late)
    delivered(ctx, whole_run(ctx)[:4])
    assert len(calls) > 1
    assert [len(history) for history in snapshot(ctx)[1].values()] == [1, 1]


def test_two_children_of_one_key_are_one_when_the_run_is_over(ctx: LocalContext) -> None:
    entries = whole_run(ctx)
    sink = open_sink(MLflowSettings(), ctx.home("mlflow"), ctx.open)
    sink.deliver(entries[:-1])
    client = mlflow.MlflowClient(f"sqlite:///{ctx.home('mlflow') / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("flights").experiment_id
    (known,) = client.search_runs([experiment], "tags.`e2i.key` = 'key-100'")
    late = {name: known.data.tags[name] for name in ("e2i.key", "mlflow.parentRunId")}
    client.create_run(experiment, tags=late)
    sink.deliver(entries[-1:])
    assert [run.info.run_id for run in client.search_runs([experiment], "tags.`e2i.key` = 'key-100'")] == [
        known.info.run_id
    ]


def test_an_abandoned_run_is_killed_and_says_why_until_it_is_resumed(ctx: LocalContext) -> None:
    entries = whole_run(ctx)
    delivered(ctx, entries[:3])
    delivered(ctx, [entry(600, "run.abandoned", ended_ms=START + 50, reason="process 7 is gone")])
    (run,) = snapshot(ctx)[0]
    assert (run[1], run[3], run[5]["e2i.ended"]) == ("KILLED", START + 50, "process 7 is gone")
    delivered(ctx, [entry(601, "run.started", pipeline="flights", params={"trials": 4}, started_ms=START + 90)])
    (run,) = snapshot(ctx)[0]
    assert run[1] == "RUNNING" and "e2i.ended" not in run[5]


def test_an_abandoned_run_that_mlflow_never_heard_of_is_not_made(ctx: LocalContext) -> None:
    delivered(ctx, [entry(600, "run.abandoned", ended_ms=START, reason="gone")])
    client = mlflow.MlflowClient(f"sqlite:///{ctx.home('mlflow') / 'mlflow.db'}")
    assert [found.name for found in client.search_experiments()] == ["Default"]
