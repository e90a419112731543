"""``GuardedMLflow``: the guarded MLflow client of the actions and the platform's agents.

In: settings, guard, folder. Out: plain values and small references. Run ids are always explicit; no run is "active".
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, TypeVar

from e2i.catalog.artifacts import EffectModel, Model
from e2i.errors import StepError
from e2i.resilience.guard import Guard
from e2i.tools.mlflow import LIVE_STAGES, MLflowSettings, Stage

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion as MLflowVersion

    from e2i.tools.mlflow.filters import Condition
    from e2i.tools.mlflow.finding import Candidate
    from e2i.tools.mlflow.models import LoggedRef
    from e2i.tools.mlflow.registered import Registered
    from e2i.tools.mlflow.runs import RunRef
    from e2i.tools.mlflow.tracking import Tracking

P = ParamSpec("P")
T = TypeVar("T")


class GuardedMLflow:
    """Client of MLflow. Every method may raise ToolUnavailable (down) and StepError (MLflow refuses)."""

    tool: ClassVar[str] = "mlflow"

    def __init__(self, settings: MLflowSettings, guard: Guard, home: Path) -> None:
        self.settings = settings
        self.guard = guard
        self.home = home
        self._tracking: Tracking | None = None

    async def get_or_create_experiment(self, name: str) -> str:
        """Return the experiment's id. The settings' prefix is added to the name."""
        from e2i.tools.mlflow.runs import ensure_experiment, prefixed

        return await self.call(ensure_experiment, prefixed(self.settings.experiment_prefix, name))

    async def ensure_run(self, run: str, pipeline: str, started_ms: int) -> RunRef:
        """Return the MLflow run of an e2i run; create it if it does not exist.

        Raises StepError when its experiment stores files in another location than the settings.
        """
        from e2i.tools.mlflow.runs import check_artifact_root, ensure_run

        found = await self.call(ensure_run, run, pipeline, started_ms)
        if self.settings.artifact_root is not None:
            await self.call(check_artifact_root, found.experiment, self.settings.artifact_root)
        return found

    async def log_model(self, run: RunRef, model: Model | EffectModel, folder: Path, name: str = "model") -> LoggedRef:
        """Log a fitted model to the run, once."""
        from e2i.tools.mlflow.models import ensure_logged_model

        return await self.transfer(ensure_logged_model, run, model, folder, name)

    async def log_model_metrics(self, run: RunRef, logged: LoggedRef, metrics: Mapping[str, float], at_ms: int) -> None:
        """Show metrics with a logged model, and in its run. Equal metrics are logged once."""
        from e2i.tools.mlflow.models import ensure_metrics

        await self.call(ensure_metrics, run, logged, dict(metrics), at_ms)

    async def register_model(
        self,
        name: str,
        logged: LoggedRef,
        run: RunRef,
        *,
        key: str,
        digest: str,
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> MLflowVersion:
        """Return the version with the idempotency key ``key``: a new one, or an earlier attempt's."""
        from e2i.tools.mlflow.registry import ensure_version

        return await self.call(
            ensure_version, name, logged, run, key=key, digest=digest, description=description, tags=tags
        )

    async def transition_model_version_stage(
        self,
        name: str,
        version: int,
        stage: Stage,
        archive_existing: bool = True,
        *,
        key: str = "",
        champion: int | None = None,
        fixed: Collection[str] = (),
    ) -> int | None:
        """Move a version to a stage; return the version that was there before, if it was another.

        A move that an earlier attempt made with the idempotency key ``key`` returns the same result. With ``champion``
        the version moves only if that version (0: none) is still in the stage; otherwise StepError is raised. The
        version in a ``fixed`` stage is not moved out of it.
        """
        from e2i.tools.mlflow.registry import set_stage

        return await self.call(
            set_stage, name, version, stage, archive_existing=archive_existing, key=key, champion=champion, fixed=fixed
        )

    async def get_champion(self, name: str, version: int, stage: Stage, *, key: str) -> int | None:
        """Return the version that a move with ``key`` would replace, or did replace in an earlier attempt."""
        from e2i.tools.mlflow.registry import champion

        return await self.call(champion, name, version, stage, key=key)

    async def get_latest_versions(self, name: str, stages: Sequence[str] = ()) -> list[MLflowVersion]:
        """Return the version in each of the stages; without stages, the newest version."""
        from e2i.tools.mlflow.registry import latest_versions

        return await self.call(latest_versions, name, tuple(stages))

    async def get_version_by_stage(self, name: str, stage: str) -> MLflowVersion | None:
        """Return the version in a live stage, or None."""
        from e2i.tools.mlflow.registry import version_in_stage

        if stage not in LIVE_STAGES:
            raise StepError(
                f"unknown live stage {stage!r}", code="unknown-stage", hint=f"use one of {', '.join(LIVE_STAGES)}"
            )
        return await self.call(version_in_stage, name, stage)

    async def get_version(self, name: str, version: int) -> MLflowVersion:
        """Return the version of that number."""
        from e2i.tools.mlflow.registry import find_version

        return await self.call(find_version, name, version)

    async def candidates(
        self, name: str, metric: str, *, maximize: bool, tags: Mapping[str, str], stages: Sequence[str]
    ) -> list[Candidate]:
        """Return the versions with the metric, the tags and one of the stages, best first."""
        from e2i.tools.mlflow.finding import candidates

        return await self.transfer(candidates, name, metric, maximize=maximize, tags=dict(tags), stages=tuple(stages))

    async def registered(self, name: str, version: int) -> Registered:
        """Return the registry's record of a version. Raises StepError when there is none."""
        from e2i.tools.mlflow.registry import registered

        return await self.call(registered, name, version)

    async def load(self, name: str, version: int, folder: Path) -> Path:
        """Download the files of a version that e2i registered; return the model's folder below ``folder``."""
        return await self.transfer(_download, name, version, folder)

    async def search_runs(self, experiment: str, *conditions: Condition, limit: int = 100) -> list[Run]:
        """Return runs of an experiment that meet all conditions, newest first."""
        from e2i.tools.mlflow.runs import prefixed

        return await self.call(_search_runs, prefixed(self.settings.experiment_prefix, experiment), conditions, limit)

    async def call(self, function: Callable[Concatenate[Tracking, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function(tracking, …)`` behind the guard, again after a transient failure: it must be idempotent.

        The first call opens MLflow.
        """
        return await self._within(self.settings.deadline, function, *args, **kwargs)

    async def open_function(self, uri: str, folder: Path) -> Any:
        """Download a model to a folder and return its Python function. Loading it runs the model's own code."""
        return await self.transfer(_function, uri, folder)

    async def transfer(self, function: Callable[Concatenate[Tracking, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call as ``call`` does, with the deadline for transferring files."""
        return await self._within(self.settings.transfer_deadline, function, *args, **kwargs)

    async def _within(
        self, seconds: float, function: Callable[Concatenate[Tracking, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        from e2i.tools.mlflow.outages import translated
        from e2i.tools.mlflow.tracking import open_tracking

        if self._tracking is None or self._tracking.is_lost:
            self._tracking = await self.guard.acall(
                open_tracking, self.settings, self.home, deadline=self.settings.transfer_deadline, idempotent=True
            )
        result = await self.guard.acall(
            partial(translated()(function), self._tracking, *args, **kwargs), deadline=seconds, idempotent=True
        )
        self._tracking.check()
        return result


def _function(tracking: Tracking, uri: str, folder: Path) -> Any:
    """Return the model. Raises StepError for one that does not exist, and one that cannot be loaded here."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        if tracking.registry is not None:
            mlflow.set_registry_uri(tracking.registry)
        found = mlflow.artifacts.download_artifacts(uri, tracking_uri=tracking.uri, dst_path=str(folder))
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"):
            raise
        raise StepError(
            f"MLflow has no model {uri}: {str(error)[:300]}", code="unknown-model", hint="check `uri`"
        ) from error
    try:
        return mlflow.pyfunc.load_model(found)
    except Exception as error:  # the model's own code
        raise StepError(
            f"the model {uri} cannot be loaded here: {type(error).__name__}: {error}"[:500],
            code="bad-model",
            hint="install the packages of its requirements.txt, and check that it has a Python function",
        ) from error


def _download(tracking: Tracking, name: str, version: int, folder: Path) -> Path:
    import mlflow.artifacts

    from e2i.tools.mlflow.registry import find_version

    find_version(tracking, name, version)
    location = tracking.client.get_model_version_download_uri(name, str(version))
    fetched = mlflow.artifacts.download_artifacts(
        artifact_uri=f"{location}/data/model", dst_path=str(folder), tracking_uri=tracking.uri
    )
    target = folder / "downloaded"
    shutil.move(fetched, target)
    return target


def _search_runs(tracking: Tracking, experiment: str, conditions: Sequence[Condition], limit: int) -> list[Any]:
    from e2i.tools.mlflow.filters import render

    found = tracking.client.get_experiment_by_name(experiment)
    if found is None:
        return []
    return list(
        tracking.client.search_runs(
            [found.experiment_id],
            render(*conditions),
            max_results=limit,
            order_by=["attributes.start_time DESC"],
        )
    )
