"""Deliver what a program logs to its MLflow run. In: entries of ``e2i.telemetry.programs``. Out: the run in MLflow.

A run is found by its tag ``e2i.run_id``. Every entry may arrive twice: metrics and parameters are equal rows, child
runs and model versions are found by the entry's key, files are overwritten by the same bytes.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from e2i.catalog.artifacts import Stored
from e2i.errors import StepError
from e2i.telemetry.entries import Entry
from e2i.telemetry.programs import RUN_ID_TAG
from e2i.tools.mlflow import DIGEST_TAG, KEY_TAG
from e2i.tools.mlflow.filters import attribute, render, tag
from e2i.tools.mlflow.models import LoggedRef, link
from e2i.tools.mlflow.registry import ensure_version
from e2i.tools.mlflow.runs import (
    PARENT_TAG,
    RunRef,
    check_files,
    children,
    ensure_experiment,
    find_tagged,
    key_of,
    known,
    log_batch,
)
from e2i.tools.mlflow.tracking import Tracking

Open = Callable[[Stored], Path]


def is_of_program(entries: Sequence[Entry]) -> bool:
    """Return True for entries that a program recorded, not a run of e2i."""
    return entries[0].kind.startswith("program.")


def ensure_run(tracking: Tracking, run: str, started: Mapping[str, Any]) -> RunRef:
    """Return the MLflow run that a program calls ``run``; create it from the body of its start if there is none."""
    experiment = started["experiment_id"] or ensure_experiment(tracking, started["experiment"])
    parent = started["parent"]
    tags = dict(started["tags"])
    if parent is not None:
        above = find_tagged(tracking, RUN_ID_TAG, parent)
        tags[PARENT_TAG] = above.id if above else parent
    with tracking.alone():
        found = find_tagged(tracking, RUN_ID_TAG, run, [experiment])
        if found is not None:
            return found
        made = tracking.client.create_run(
            experiment,
            start_time=int(started["started_ms"]),
            run_name=started["name"],
            tags={**tags, RUN_ID_TAG: run},
        )
    return RunRef(known(made.info.run_id), known(experiment))


def find_run(tracking: Tracking, run: str) -> RunRef | None:
    """Return the MLflow run that a program calls ``run``, in whatever experiment."""
    return find_tagged(tracking, RUN_ID_TAG, run)


def deliver(tracking: Tracking, open_artifact: Open, run: RunRef, entries: Sequence[Entry]) -> None:
    """Log the entries to the run, in order."""
    _rows(tracking, run, entries)
    for entry in entries:
        match entry.kind:
            case "program.files":
                _files(tracking, open_artifact, run, entry.body)
            case "program.model":
                _model(tracking, open_artifact, run, entry)
            case "program.child":
                _child(tracking, run, entry)
            case "program.finished":
                tracking.client.set_terminated(run.id, entry.body["status"], int(entry.body["ended_ms"]))


def _rows(tracking: Tracking, run: RunRef, entries: Sequence[Entry]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    metrics: list[Metric] = []
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    for entry in entries:
        match entry.kind:
            case "program.metrics":
                metrics += [
                    Metric(key_of(name), float(value), int(entry.body["at_ms"]), int(entry.body["step"]))
                    for name, value in entry.body["metrics"].items()
                ]
            case "program.params":
                params.update(entry.body["params"])
            case "program.tags":
                tags.update(entry.body["tags"])
    log_batch(
        tracking,
        run.id,
        metrics,
        [Param(key_of(name), value) for name, value in params.items()],
        [RunTag(name, value) for name, value in tags.items()],
    )


def _files(tracking: Tracking, open_artifact: Open, run: RunRef, body: Mapping[str, Any]) -> None:
    source = open_artifact(Stored(type="file", digest=body["digest"]))
    folder = body["folder"]
    with tempfile.TemporaryDirectory(dir=tracking.home) as scratch:
        staged = Path(scratch) / body["name"]  # MLflow uses the file's own name; the store's is its digest
        if source.is_dir():
            shutil.copytree(source, staged, copy_function=shutil.copyfile)
            above = f"{folder}/{staged.name}" if folder else staged.name
            tracking.client.log_artifacts(run.id, str(staged), above)
            below = [file for file in staged.rglob("*") if file.is_file()]
            sizes = {f"{above}/{file.relative_to(staged).as_posix()}": file.stat().st_size for file in below}
        else:
            shutil.copyfile(source, staged)
            tracking.client.log_artifact(run.id, str(staged), folder)
            sizes = {f"{folder}/{staged.name}" if folder else staged.name: staged.stat().st_size}
    check_files(tracking, run, sizes)


def _model(tracking: Tracking, open_artifact: Open, run: RunRef, entry: Entry) -> None:
    """Log a saved model as a logged model of the run, once, and register it if that is asked for."""
    body = entry.body
    source = open_artifact(Stored(type="model", digest=body["digest"]))
    logged = _ensure_model(tracking, run, source, body)
    if body["registered"]:
        ensure_version(
            tracking,
            body["registered"],
            logged,
            run,
            key=entry.key,
            digest=body["digest"],
        )


def _ensure_model(tracking: Tracking, run: RunRef, source: Path, body: Mapping[str, Any]) -> LoggedRef:
    from mlflow.models import Model as Description

    client = tracking.client
    with tracking.alone():
        query = render(attribute("source_run_id", run.id), tag(DIGEST_TAG, body["digest"]))
        found = [
            model
            for model in client.search_logged_models([run.experiment], filter_string=query, max_results=50)
            if model.name == body["name"]
        ]
        logged = (
            found[0]
            if found
            else client.create_logged_model(
                run.experiment,
                name=body["name"],
                source_run_id=run.id,
                tags={DIGEST_TAG: body["digest"]},
                model_type=body["flavor"],
            )
        )
        known(logged.model_id)
        if str(logged.status) != "READY":
            with tempfile.TemporaryDirectory(dir=tracking.home) as scratch:
                staged = Path(scratch) / "model"
                shutil.copytree(source, staged, copy_function=shutil.copyfile)
                description = Description.load(str(staged / "MLmodel"))
                description.run_id, description.model_id = run.id, str(logged.model_id)
                description.artifact_path = str(logged.artifact_location)
                description.save(str(staged / "MLmodel"))
                client.log_model_artifacts(logged.model_id, str(staged))
            link(tracking, run, str(logged.model_id))
            client.finalize_logged_model(logged.model_id, "READY")
    return LoggedRef(str(logged.model_id), str(logged.artifact_location))


def _child(tracking: Tracking, parent: RunRef, entry: Entry) -> None:
    from mlflow.entities import Metric, Param

    body, client = entry.body, tracking.client
    child, is_complete = children(tracking, parent).get(entry.key, ("", False))
    if is_complete:
        return
    if not child:
        made = client.create_run(
            parent.experiment,
            start_time=int(body["started_ms"]),
            run_name=body["name"],
            tags={**tracking.tags, PARENT_TAG: parent.id, KEY_TAG: entry.key},
        )
        child = known(made.info.run_id)
    log_batch(
        tracking,
        child,
        [Metric(key_of(name), float(value), int(body["ended_ms"]), 0) for name, value in body["metrics"].items()],
        [Param(key_of(name), value) for name, value in body["params"].items()],
    )
    client.set_terminated(child, "FINISHED" if body["status"] == "finished" else "FAILED", int(body["ended_ms"]))


def unknown_run(run: str) -> StepError:
    """Return the error for entries of a run whose start MLflow never accepted."""
    return StepError(
        f"MLflow does not know the run {run} of a program: its first entry was refused or lost",
        code="run-unknown",
        hint="see what was refused with `e2i doctor`, fix it, then run `e2i sync --refused`",
    )
