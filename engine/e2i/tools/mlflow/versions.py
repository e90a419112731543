"""Runs, models and versions by MLflow's own addresses. In: run ids, names, uris. Out: ids, versions, folders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2i.errors import StepError
from e2i.tools.mlflow import DIGEST_TAG
from e2i.tools.mlflow.filters import attribute, render
from e2i.tools.mlflow.models import LoggedRef
from e2i.tools.mlflow.programs import ensure_run
from e2i.tools.mlflow.registry import ensure_version
from e2i.tools.mlflow.runs import RunRef
from e2i.tools.mlflow.tracking import Tracking

NAME = "[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"
FORMS = tuple(
    map(
        re.compile,
        (
            rf"(runs:/)([0-9a-f]{{32}}/{NAME})",
            r"(models:/)(m-[0-9a-f]{32})",
            rf"(models:/)({NAME}/[0-9]{{1,9}})",
            rf"(models:/)({NAME}@{NAME})",
        ),
    )
)
"""Forms of a model's address. Names without slashes and percent signs cannot lead to another place."""


def begin(tracking: Tracking, run: str, started: Mapping[str, Any]) -> tuple[str, str]:
    """Create the MLflow run of a program's run, once; return its id and the location of its files."""
    found = ensure_run(tracking, run, started)
    return found.id, str(tracking.client.get_run(found.id).info.artifact_uri)


def register(tracking: Tracking, run_id: str, name: str, path: str, key: str) -> int:
    """Register the model that a run logged under the name ``path`` as a new version; return its number.

    Repeating it with the same ``key`` returns the same version. Raises StepError when there is no such run or model.
    """
    from mlflow.exceptions import MlflowException

    client = tracking.client
    try:
        found = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise StepError(f"MLflow has no run {run_id!r}", code="unknown-run") from error
    run = RunRef(run_id, str(found.info.experiment_id))
    logged = client.search_logged_models(
        [run.experiment], filter_string=render(attribute("source_run_id", run_id)), max_results=1000
    )
    model = next((model for model in logged if model.name == path and str(model.status) == "READY"), None)
    if model is None:
        names = ", ".join(sorted({model.name for model in logged})) or "none"
        raise StepError(
            f"the run {run_id} has no model {path!r}", code="unknown-model", hint=f"models of the run: {names}"
        )
    ref = LoggedRef(str(model.model_id), str(model.artifact_location))
    digest = str(model.tags.get(DIGEST_TAG, ""))
    return int(ensure_version(tracking, name, ref, run, key=key, digest=digest).version)


def address(uri: str) -> str:
    """Return a model's address, rebuilt from its parts. Raises StepError for one that is not an address of a model.

    The forms: ``runs:/RUN/PATH``, ``models:/m-ID``, ``models:/NAME/VERSION`` and ``models:/NAME@ALIAS``.
    """
    for form in FORMS:
        if found := form.fullmatch(uri):
            return "".join(found.groups())
    raise StepError(
        f"{uri[:200]!r} is not the address of a model",
        code="bad-address",
        hint="write runs:/RUN/PATH, models:/m-ID, models:/NAME/VERSION or models:/NAME@ALIAS",
    )


def download(tracking: Tracking, uri: str, folder: Path) -> Path:
    """Download the model at one of MLflow's addresses to a folder; return the model's folder. Raises StepError."""
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    try:
        found = Path(
            mlflow.artifacts.download_artifacts(
                artifact_uri=address(uri), dst_path=str(folder), tracking_uri=tracking.uri
            )
        )
    except (MlflowException, OSError) as error:
        if isinstance(error, MlflowException) and error.error_code in ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE"):
            raise
        raise StepError(f"MLflow has no model {uri!r}: {error}"[:500], code="unknown-model") from error
    if not (found / "MLmodel").is_file():
        raise StepError(f"{uri!r} is not a model of MLflow: it has no file MLmodel", code="unknown-model")
    return found
