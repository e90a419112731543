"""Find or create the one MLflow run of an e2i run. In: an e2i run. Out: the MLflow run.

The dispatcher and a step that registers a model may both come first, so a run is found by its tag ``e2i.run``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.resilience.asking import wrong_server
from e2i.tools.mlflow import KEY_TAG
from e2i.tools.mlflow.filters import render, tag
from e2i.tools.mlflow.outages import is_lost_race, is_too_large
from e2i.tools.mlflow.tracking import Tracking

if TYPE_CHECKING:
    from mlflow.entities import Metric, Param, RunTag

SETTING = "tools.mlflow.tracking_uri"
RUN_TAG = "e2i.run"
PARENT_TAG = "mlflow.parentRunId"
UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
FORBIDDEN = re.compile(r"[^\w\-. :/]")


class RunRef(Struct, frozen=True):
    """An MLflow run: its id and its experiment's id."""

    id: str
    experiment: str


def ensure_experiment(tracking: Tracking, name: str, tags: Mapping[str, str] | None = None) -> str:
    """Return the id of the experiment of that name; create it, with tags, if needed.

    Raises StepError when it was deleted.
    """
    client = tracking.client
    found = client.get_experiment_by_name(name)
    if found is None:
        with tracking.alone():
            found = client.get_experiment_by_name(name)
            if found is None:
                about = {**(tags or {}), "platform": "e2i"}
                return known(client.create_experiment(name, _artifact_uri(tracking, name), tags=about))
    identity = known(found.experiment_id)
    if found.lifecycle_stage != "active":
        raise StepError(
            f"the MLflow experiment {name!r} was deleted",
            code="experiment-deleted",
            hint=f"restore it: mlflow experiments restore --experiment-id {identity}",
        )
    return identity


def check_artifact_root(tracking: Tracking, experiment: str, root: str) -> None:
    """Raise StepError when an existing experiment stores its files in another location."""
    found = tracking.client.get_experiment(experiment)
    if not str(found.artifact_location).startswith(f"{root.rstrip('/')}/"):
        raise StepError(
            f"the MLflow experiment {found.name!r} stores its files in {found.artifact_location}, not below {root}",
            code="artifact-root",
            hint="the location of an experiment cannot change: set tools.mlflow.experiment_prefix for a "
            "new one, or fix artifact_root",
        )


def find_run(tracking: Tracking, run: str) -> RunRef | None:
    """Return the MLflow run of the e2i run, in whatever experiment."""
    return find_tagged(tracking, RUN_TAG, run)


def find_tagged(tracking: Tracking, name: str, value: str, experiments: list[str] | None = None) -> RunRef | None:
    """Return the first run with that tag, in these experiments; None: in all."""
    if experiments is None:
        experiments = [str(item.experiment_id) for item in _pages(tracking.client.search_experiments)]
    found = tracking.client.search_runs(
        experiments, render(tag(name, value)), max_results=1, order_by=["attributes.start_time ASC"]
    )
    return RunRef(known(found[0].info.run_id), known(found[0].info.experiment_id)) if found else None


def prefixed(prefix: str, name: str) -> str:
    """Return the name of an experiment with the settings' prefix, which it may have already."""
    return name if name.startswith(prefix) else prefix + name


def ensure_run(tracking: Tracking, run: str, pipeline: str, started_ms: int) -> RunRef:
    """Return the MLflow run of the e2i run; create it in the pipeline's experiment if needed."""
    experiment = ensure_experiment(tracking, prefixed(tracking.experiment_prefix, pipeline))
    with tracking.alone():
        found = find_tagged(tracking, RUN_TAG, run, [experiment])
        if found is not None:
            return found
        made = tracking.client.create_run(
            experiment,
            start_time=started_ms or None,
            run_name=run,
            tags={**tracking.tags, RUN_TAG: run, "mlflow.source.name": pipeline, "mlflow.source.type": "PROJECT"},
        )
    return RunRef(known(made.info.run_id), known(experiment))


def check_files(tracking: Tracking, run: RunRef, sizes: Mapping[str, int]) -> None:
    """Raise ToolUnavailable unless a server has these files of the run, by path, with these sizes in bytes.

    A proxy may confirm an upload that it has not passed on.
    """
    if not tracking.is_server:
        return
    found: dict[str, int | None] = {}
    for folder in sorted({posixpath.dirname(path) for path in sizes}):
        found.update((item.path, item.file_size) for item in tracking.client.list_artifacts(run.id, folder or None))
    for path, size in sizes.items():
        if path not in found or found[path] not in (None, size):
            raise wrong_server("mlflow", f"it does not have the uploaded file {path!r}", SETTING)


def log_batch(
    tracking: Tracking,
    run: str,
    metrics: Sequence[Metric] = (),
    params: Sequence[Param] = (),
    tags: Sequence[RunTag] = (),
) -> None:
    """Log everything in as few requests as MLflow's limits allow. Logging the same again changes nothing."""
    from mlflow.exceptions import MlflowException

    for start in range(0, max(len(metrics), 10 * len(params), 10 * len(tags)), 800):
        tenth = start // 10
        log = partial(
            tracking.client.log_batch,
            run,
            metrics=metrics[start : start + 800],
            params=params[tenth : tenth + 80],
            tags=tags[tenth : tenth + 80],
        )
        try:
            log()
        except MlflowException as error:
            if is_too_large(error) and max(len(metrics), len(params), len(tags)) > 1:
                _log_halves(tracking, run, metrics, params, tags)
                return
            if not is_lost_race(error):
                raise
            log()  # MLflow now sees the existing rows, and accepts equal ones


def _log_halves(
    tracking: Tracking, run: str, metrics: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]
) -> None:
    """Log the same in two requests, because one request was too large for a proxy."""
    first = (metrics[: len(metrics) // 2], params[: len(params) // 2], tags[: len(tags) // 2])
    log_batch(tracking, run, *first)
    log_batch(tracking, run, metrics[len(first[0]) :], params[len(first[1]) :], tags[len(first[2]) :])


def children(tracking: Tracking, parent: RunRef) -> dict[str, tuple[str, bool]]:
    """Return the run's child runs by their ``e2i.key``: the id of each, and whether it is complete.

    Two runs with one key exist when an abandoned request was executed late. One of them is deleted.
    """
    query = render(tag(PARENT_TAG, parent.id))
    found = _pages(tracking.client.search_runs, experiment_ids=[parent.experiment], filter_string=query)
    there: dict[str, tuple[str, bool]] = {}
    for item in sorted(found, key=lambda item: (item.info.status == "RUNNING", item.info.run_id)):
        key = item.data.tags.get(KEY_TAG)
        if key in there:
            tracking.client.delete_run(item.info.run_id)
        elif key is not None:
            there[key] = (known(item.info.run_id), item.info.status != "RUNNING")
    return there


def exists(tracking: Tracking, run: RunRef) -> bool:
    """Return True when the MLflow run still exists."""
    from mlflow.exceptions import MlflowException

    try:
        found = tracking.client.get_run(run.id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return known(found.info.run_id) == run.id


def known(identity: object) -> str:
    """Return an id from an answer. Raises ToolUnavailable when there is none: the server is not MLflow."""
    if not identity:
        raise wrong_server("mlflow", "the answer has no id", SETTING)
    return str(identity)


def key_of(*parts: str, separator: str = "/") -> str:
    """Return a valid MLflow name of a metric, a parameter or a tag: each other character becomes ``_``."""
    text = FORBIDDEN.sub("_", separator.join(parts))[:250]
    return text if posixpath.normpath(text) == text and text[0] not in "/." else text.replace("/", "_").lstrip(".")


def _artifact_uri(tracking: Tracking, experiment: str) -> str | None:
    if tracking.artifacts is None:
        return None
    return f"{tracking.artifacts.rstrip('/')}/{UNSAFE.sub('_', experiment).lstrip('.') or 'experiment'}"


def _pages(search: Any, **arguments: Any) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = search(max_results=1000, page_token=token, **arguments)
        yield from page
        token = page.token
        if not token:
            return
