"""Log a fitted model as one MLflow model of a run. In: a fitted model and a run. Out: the logged model.

The model has two flavours on the same files: MLflow's ``python_function``, loaded by a copy of
``e2i.estimators.scoring``, and that of its library (``native.py``). An effect model has the first alone: it returns a
frame of ``effect``, ``lower`` and ``upper``. Loading a model needs neither e2i nor a pickle.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.catalog.artifacts import EffectModel, Model
from e2i.errors import StepError
from e2i.estimators import travelling
from e2i.resilience.asking import wrong_server
from e2i.tools.mlflow import DIGEST_TAG
from e2i.tools.mlflow.filters import attribute, render, tag
from e2i.tools.mlflow.runs import SETTING, RunRef, key_of, known, log_batch
from e2i.tools.mlflow.signature import example_of, signature_of
from e2i.tools.mlflow.tracking import Tracking

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.models import Model as Description

MANIFEST = {
    *("algorithm", "library", "file", "task", "target", "classes", "features", "encoding", "requirements"),
    *("target_center", "target_scale"),
}
EFFECTS = {"treatment", "outcome", "features", "question"}
"""What the manifest of an effect model has."""
PREFIX = "e2i_"
"""Begins the names of the copied modules: ``scoring`` could conflict with another module."""


class LoggedRef(Struct, frozen=True):
    """A logged model: its id and the location of its files."""

    id: str
    location: str


def ensure_logged_model(
    tracking: Tracking, run: RunRef, model: Model | EffectModel, folder: Path, name: str = "model"
) -> LoggedRef:
    """Log the model of ``folder`` to the run unless it exists. Safe to repeat after a crash at any point.

    A run identifies a model by its digest. The files of an incomplete model are uploaded again.
    """
    client = tracking.client
    with tracking.alone():
        query = render(attribute("source_run_id", run.id), tag(DIGEST_TAG, model.digest))
        found = client.search_logged_models([run.experiment], filter_string=query, max_results=1)
        logged = found[0] if found else _create(tracking, run, model, folder, name)
        known(logged.model_id)
        if str(logged.status) != "READY":
            with tempfile.TemporaryDirectory(dir=tracking.home) as scratch:
                saved = save(folder, Path(scratch), logged)
                client.log_model_artifacts(logged.model_id, str(saved))
            if tracking.is_server and not any(
                item.path == "MLmodel" for item in client.list_logged_model_artifacts(logged.model_id)
            ):
                raise wrong_server("mlflow", "it does not have the files of the uploaded model", SETTING)
            link(tracking, run, str(logged.model_id))
            client.finalize_logged_model(logged.model_id, "READY")
    return LoggedRef(str(logged.model_id), str(logged.artifact_location))


def ensure_metrics(
    tracking: Tracking, run: RunRef, logged: LoggedRef, metrics: Mapping[str, float], at_ms: int
) -> None:
    """Show metrics with a logged model and in its run, unless an earlier attempt did, whenever that was."""
    from mlflow.entities import Metric

    there = {(metric.key, metric.value) for metric in tracking.client.get_logged_model(logged.id).metrics or ()}
    named = {key_of(name): value for name, value in metrics.items()}
    news = [
        Metric(name, value, at_ms, 0, model_id=logged.id) for name, value in named.items() if (name, value) not in there
    ]
    if news:
        log_batch(tracking, run.id, news)


def save(folder: Path, scratch: Path, logged: LoggedModel) -> Path:
    """Write the MLflow model folder of a logged model into ``scratch``; return it."""
    from mlflow.models import Model as Description

    about = Description(
        artifact_path=logged.artifact_location,
        model_uuid=logged.model_id,
        run_id=logged.source_run_id,
        model_id=logged.model_id,
    )
    save_scoring(folder, scratch / "saved", about)
    return scratch / "saved"


def save_scoring(folder: Path, target: Path, about: Description | None = None) -> str:
    """Write the MLflow model of a model folder of e2i: files, scoring module, signature, requirements.

    Return the name of the flavour of the model's library.
    """
    import mlflow.pyfunc
    from mlflow.models import Model as Description

    from e2i.estimators.effect_scoring import is_effects
    from e2i.tools.mlflow import native

    manifest = read_manifest(folder)
    about = about or Description()
    modules = travelling.files(effects=is_effects(manifest))
    flavour = native.add(about, manifest)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch, _no_list_of_packages():
        data = Path(scratch) / Path(native.DATA).name
        shutil.copytree(folder, data, copy_function=shutil.copyfile)
        copies = [Path(scratch) / f"{PREFIX}{name}.py" for name in modules]
        for source, copy in zip(modules.values(), copies, strict=True):
            shutil.copyfile(source, copy)
        mlflow.pyfunc.save_model(
            str(target),
            loader_module=copies[-1].stem,
            data_path=str(data),
            code_paths=[str(copy) for copy in copies],
            mlflow_model=about,
            signature=signature_of(manifest),
            input_example=example_of(manifest),
            pip_requirements=list(manifest["requirements"]),
            metadata=native.facts(manifest),
        )
    return flavour


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the model's manifest. Raises StepError when the folder is not a model."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StepError(f"not a model: its manifest.json cannot be read ({error})", code="bad-model") from error
    known = isinstance(manifest, dict) and manifest.get("schema_version") in (1, 2, 3, 4, 5)
    if not isinstance(manifest, dict) or not known or not _is_complete(manifest):
        raise StepError("not a model: its manifest.json has another version, or lacks entries", code="bad-model")
    return manifest


def _is_complete(manifest: Mapping[str, Any]) -> bool:
    return manifest.keys() >= (EFFECTS if "estimator" in manifest else MANIFEST)


@contextmanager
def _no_list_of_packages() -> Iterator[None]:
    """Keep MLflow from reading the files of all installed packages (0.6 s of CPU), and from asking for examples.

    It would find the module of each requirement, which it needs only for one that is not installed. Naughty, but there
    is no switch.
    """
    from mlflow.utils import requirements_utils

    before = getattr(requirements_utils, "_MODULES_TO_PACKAGES", None)
    requirements_utils._MODULES_TO_PACKAGES = before or {}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*An input example was not provided")  # some models have none
            yield
    finally:
        requirements_utils._MODULES_TO_PACKAGES = before


def _create(tracking: Tracking, run: RunRef, model: Model | EffectModel, folder: Path, name: str) -> LoggedModel:
    if isinstance(model, EffectModel):
        settings, kind, target = "question", model.estimator, model.outcome
    else:
        settings, kind, target = "params", model.algorithm, model.target
    params = read_manifest(folder).get(settings) or {}
    return tracking.client.create_logged_model(
        run.experiment,
        name=name,
        source_run_id=run.id,
        tags={DIGEST_TAG: model.digest, "e2i.target": target},
        params={str(key)[:255]: str(value)[:6000] for key, value in params.items()},
        model_type=kind,
    )


def link(tracking: Tracking, run: RunRef, model_id: str) -> None:
    """Show the model among the run's outputs, once: MLflow refuses the second time."""
    from mlflow.entities import LoggedModelOutput

    outputs = tracking.client.get_run(run.id).outputs
    if model_id not in {output.model_id for output in (outputs.model_outputs if outputs else ())}:
        tracking.client.log_outputs(run.id, [LoggedModelOutput(model_id, 0)])
