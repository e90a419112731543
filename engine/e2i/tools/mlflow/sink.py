"""Log a run to MLflow. In: telemetry entries of a run. Out: an MLflow run with metrics, child runs, files, models.

Mapping to MLflow:

- The experiment is the pipeline, the run is the e2i run (tag ``e2i.run``).
- A step's metric is ``STEP/NAME``: MLflow charts each step in its own section, and two steps may log the same name.
- A step's parameter is ``STEP.NAME``, the pipeline's own are ``params.NAME``, as in expressions.
- Each finished step adds the tag ``e2i.step.STEP``: its status, resource use and duration.
- Child runs (trials) are nested, and keep their plain names.

Every entry may arrive twice, or again after a crash. Metrics and parameters are equal rows, child runs are identified
by their entry's key, files are overwritten by the same bytes, models are identified by their digest. After a failed
delivery nothing is taken from memory: objects that it created are found by these tags.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from e2i.catalog.action import ToolSettings
from e2i.catalog.artifacts import EffectModel, Model, Report, Stored, read_artifacts
from e2i.errors import StepError, ToolUnavailable
from e2i.telemetry.entries import Entry, Sink
from e2i.tools.mlflow import KEY_TAG, MLflowSettings, programs
from e2i.tools.mlflow.models import ensure_logged_model
from e2i.tools.mlflow.outages import translated
from e2i.tools.mlflow.runs import (
    PARENT_TAG,
    RunRef,
    check_files,
    children,
    ensure_run,
    exists,
    find_run,
    key_of,
    known,
    log_batch,
)
from e2i.tools.mlflow.tracking import Tracking, open_tracking

STATUS = {"succeeded": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
REASON_TAG = "e2i.ended"
"""Reason of a killed run's end, until it is resumed."""


def open_sink(settings: ToolSettings, home: Path, open_artifact: Callable[[Stored], Path]) -> Sink:
    """Return a sink over MLflow. Raises ToolUnavailable when MLflow is down."""
    assert isinstance(settings, MLflowSettings)
    return MLflowSink(open_tracking(settings, home), open_artifact, nested=settings.log_trials_as_children)


class MLflowSink:
    """Implements ``e2i.telemetry.entries.Sink``. Caches the MLflow run of each e2i run."""

    def __init__(self, tracking: Tracking, open_artifact: Callable[[Stored], Path], *, nested: bool = True) -> None:
        self._tracking = tracking
        self._open = open_artifact
        self._nested = nested
        self._runs: dict[str, RunRef] = {}
        self._children: dict[str, dict[str, tuple[str, bool]]] = {}
        self._closed = False

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Deliver entries of one run, in order. Raises ToolUnavailable (down) and StepError (a bad entry)."""
        if not entries:
            return
        self._tracking.check()
        before = self._runs.get(entries[0].run)
        try:
            self._deliver(entries)
        except BaseException as error:
            self._runs.clear()
            self._children.clear()
            if isinstance(error, StepError) and before is not None:
                self._check_run(before)
            raise
        self._tracking.check()

    def close(self) -> None:
        """Close: nothing is pending, everything delivered is in MLflow. The process may exit without closing MLflow."""
        self._closed = True
        self._tracking.settle()

    @translated()
    def _deliver(self, entries: Sequence[Entry]) -> None:
        is_of_program = programs.is_of_program(entries)
        run = self._program(entries) if is_of_program else self._run(entries)
        if run is None:
            return
        if is_of_program:
            programs.deliver(self._tracking, self._open, run, entries)
        else:
            self._send(run, entries)
        if self._tracking.is_server and not exists(self._tracking, run):
            raise ToolUnavailable("mlflow", f"MLflow does not have the run {run.id}", code="history-lost")

    def _send(self, run: RunRef, entries: Sequence[Entry]) -> None:
        self._rows(run, entries)
        for entry in entries:
            if self._closed:
                raise ToolUnavailable("mlflow", "this delivery took too long, and another one has replaced it")
            match entry.kind:
                case "child" if self._nested:
                    self._child(run, entry)
                case "attachment":
                    self._attach(run, entry.body["name"], read_artifacts(entry.body["artifact"]))
                case "run.started":
                    self._reopen(run)
                case "run.finished":
                    self._finish(run, STATUS[entry.body["status"]], int(entry.body["ended_ms"]))
                case "run.abandoned":
                    self._tracking.client.set_tag(run.id, REASON_TAG, str(entry.body["reason"]))
                    self._finish(run, "KILLED", int(entry.body["ended_ms"]))

    @translated()
    def _check_run(self, run: RunRef) -> None:
        """Raise ToolUnavailable when the server has lost the run, since no entry causes that."""
        if not exists(self._tracking, run):
            raise ToolUnavailable("mlflow", f"MLflow no longer has the run {run.id}", code="history-lost")

    def id_of(self, run: str) -> str | None:
        """Return MLflow's id of a program's run that was delivered."""
        found = self._runs.get(run)
        return found.id if found else None

    def _program(self, entries: Sequence[Entry]) -> RunRef:
        """Return the MLflow run of a program."""
        name = entries[0].run
        if name not in self._runs:
            started = next((entry.body for entry in entries if entry.kind == "program.started"), None)
            found = programs.ensure_run(self._tracking, name, started) if started else None
            found = found or programs.find_run(self._tracking, name)
            if found is None:
                raise programs.unknown_run(name)
            self._runs[name] = found
        return self._runs[name]

    def _run(self, entries: Sequence[Entry]) -> RunRef | None:
        """Return the MLflow run; None when the only news is the end of an abandoned run that MLflow does not have."""
        name = entries[0].run
        if name not in self._runs:
            started = next((entry.body for entry in entries if entry.kind == "run.started"), None)
            found = None if started else find_run(self._tracking, name)
            if found is None and all(entry.kind == "run.abandoned" for entry in entries):
                return None
            if started is not None:
                found = ensure_run(self._tracking, name, str(started["pipeline"]), int(started["started_ms"]))
            if found is None:
                raise StepError(
                    f"MLflow does not know the run {name}: its first entry was refused or lost",
                    code="run-unknown",
                    hint="see what was refused with `e2i doctor`, fix it, then run `e2i sync --refused`",
                )
            self._runs[name] = found
        return self._runs[name]

    def _finish(self, run: RunRef, status: str, ended_ms: int) -> None:
        """End the run. Child runs are listed once more, because a slow request may have created one twice."""
        if self._children.pop(run.id, None):
            children(self._tracking, run)
        self._tracking.client.set_terminated(run.id, status, ended_ms)

    def _reopen(self, run: RunRef) -> None:
        """Set a resumed run to running until it is finished again."""
        found = self._tracking.client.get_run(run.id)
        if REASON_TAG in found.data.tags:
            self._tracking.client.delete_tag(run.id, REASON_TAG)
        if found.info.status != "RUNNING":
            self._tracking.client.update_run(run.id, status="RUNNING")

    def _rows(self, run: RunRef, entries: Sequence[Entry]) -> None:
        """Log everything that is a row: all parameters, metrics and tags of the entries in one batch."""
        from mlflow.entities import Metric, Param, RunTag

        metrics: list[Metric] = []
        params: dict[str, str] = {}
        tags: dict[str, str] = {}
        for entry in entries:
            body = entry.body
            match entry.kind:
                case "metric":
                    name = key_of(body["step"], body["name"])
                    metrics.append(Metric(name, body["value"], int(body["at_ms"]), int(body["index"])))
                case "param":
                    params[key_of(body["step"], body["name"], separator=".")] = _text(body["value"])
                case "run.started":
                    params.update({key_of("params", k, separator="."): _text(v) for k, v in body["params"].items()})
                    tags.update({f"e2i.{k}": str(body[k]) for k in ("pipeline", "profile", "spec") if body.get(k)})
                case "warning":
                    name = f"{body['step']}.{hashlib.sha256(body['message'].encode()).hexdigest()[:8]}"
                    tags[key_of("e2i.warning", name, separator=".")] = body["message"][:5000]
                case "step.finished":
                    tags[key_of("e2i.step", body["step"], separator=".")] = _ending(body)
                case "child" if not self._nested:
                    number = int(body.get("index", entry.sequence))  # entries of older stores have none
                    for name, value in body["metrics"].items():
                        metrics.append(
                            Metric(key_of(body["step"], "trials", name), value, int(body["ended_ms"]), number)
                        )
        log_batch(
            self._tracking,
            run.id,
            metrics,
            [Param(name, value) for name, value in params.items()],
            [RunTag(name, value) for name, value in tags.items()],
        )

    def _child(self, parent: RunRef, entry: Entry) -> None:
        from mlflow.entities import Metric, Param

        if parent.id not in self._children:
            self._children[parent.id] = children(self._tracking, parent)
        there, body, client = self._children[parent.id], entry.body, self._tracking.client
        child, complete = there.get(entry.key, ("", False))
        if complete:
            return
        if not child:
            made = client.create_run(
                parent.experiment,
                start_time=int(body["started_ms"]),
                run_name=body["name"],
                tags={**self._tracking.tags, PARENT_TAG: parent.id, KEY_TAG: entry.key, "e2i.step": body["step"]},
            )
            child = known(made.info.run_id)
            there[entry.key] = (child, False)
        log_batch(
            self._tracking,
            child,
            [Metric(key_of(k), v, int(body["ended_ms"]), 0) for k, v in body["metrics"].items()],
            [Param(key_of(k), _text(v)) for k, v in body["params"].items()],
        )
        client.set_terminated(child, "FINISHED" if body["status"] == "finished" else "FAILED", int(body["ended_ms"]))
        there[entry.key] = (child, True)

    def _attach(self, run: RunRef, name: str, artifact: Stored) -> None:
        """Log a model as a model, anything else as files below ``name``."""
        path = _artifact_path(name)
        source = self._open(artifact)
        if isinstance(artifact, Model | EffectModel):
            ensure_logged_model(self._tracking, run, artifact, source, path.name)
            return
        if not source.is_dir():
            path = path.with_name(path.name + _suffix(path, artifact))
        with tempfile.TemporaryDirectory(dir=self._tracking.home) as scratch:
            staged = Path(scratch) / path.name  # MLflow uses the file's own name; the store's is its digest
            if source.is_dir():
                shutil.copytree(source, staged, copy_function=shutil.copyfile)
                self._tracking.client.log_artifacts(run.id, str(staged), str(path))
                below = [file for file in staged.rglob("*") if file.is_file()]
                sizes = {str(path / file.relative_to(staged)): file.stat().st_size for file in below}
            else:
                shutil.copyfile(source, staged)
                folder = None if path.parent == PurePosixPath(".") else str(path.parent)
                self._tracking.client.log_artifact(run.id, str(staged), folder)
                sizes = {str(path): staged.stat().st_size}
            check_files(self._tracking, run, sizes)


def _artifact_path(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if not name.isprintable() or not path.name or path.is_absolute() or ".." in path.parts or "\\" in name:
        raise StepError(f"not a name for an attachment: {name[:80]!r}", code="bad-attachment")
    return path


def _suffix(path: PurePosixPath, artifact: Stored) -> str:
    """Return the suffix by which MLflow's UI can show the file, where the name has none."""
    if path.suffix:
        return ""
    if isinstance(artifact, Report):
        return mimetypes.guess_extension(artifact.media_type) or ""
    return ".arrow" if artifact.type == "table" else ""


def _text(value: object) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _ending(body: Mapping[str, Any]) -> str:
    seconds = (int(body["ended_ms"]) - int(body["started_ms"])) / 1000
    error = body.get("error")
    reason = f": {error.get('message', error) if isinstance(error, Mapping) else error}" if error else ""
    return f"{body['status']}, {body['uses']}, {seconds:.2f} s{reason}"[:5000]
