"""``MLflowConnector``: MLflow for programs. In: what a program logs and asks. Out: runs, models and their stages.

What is logged goes to the store's outbox first, and from there to MLflow in the background. So a run is usable while
MLflow is down, and a program that is killed loses nothing that it has logged.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar
from uuid import uuid4

from msgspec import Struct

from e2i.errors import ToolUnavailable
from e2i.mlops import loading
from e2i.mlops import mlflow_values as values
from e2i.mlops.connector import Connector
from e2i.mlops.mistakes import BadCall, content, file_path, mistakes, text
from e2i.mlops.mlflow_run import Run
from e2i.mlops.program import publish
from e2i.mlops.tracing import agent, traced
from e2i.spec import suggest
from e2i.telemetry import programs
from e2i.telemetry.bodies import recorded
from e2i.telemetry.entries import Entry, keyed, target_of
from e2i.tools.mlflow import EXCLUSIVE_STAGES
from e2i.tools.mlflow import MLflowSettings as MLflowConfig
from e2i.tools.mlflow.connector import GuardedMLflow
from e2i.tools.mlflow.words import fixed_stages

__all__ = ["MLflowConfig", "MLflowConnector", "ModelStage", "ModelVersion"]

if TYPE_CHECKING:
    from e2i.tools.mlflow.tracking import Tracking

P = ParamSpec("P")
T = TypeVar("T")


class ModelStage(Enum):
    """Stage of a version of a registered model."""

    DEVELOPMENT = "Development"
    STAGING = "Staging"
    SHADOW = "Shadow"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"

    @classmethod
    def of(cls, stage: ModelStage | str) -> ModelStage:
        """Return the stage of a member, a value or a lower-case name. Raises BadCall for any other text."""
        if isinstance(stage, cls):
            return stage
        for member in cls:
            if stage in (member.value, member.value.lower()):
                return member
        names = [member.value for member in cls]
        raise BadCall(
            f"there is no stage {stage!r}", code="unknown-stage", hint=suggest.hint(str(stage), names, most=len(names))
        )


class ModelVersion(Struct, frozen=True):
    """A version of a registered model. ``version`` is its number as text."""

    name: str
    version: str
    stage: ModelStage


class MLflowConnector(Connector[MLflowConfig]):
    """MLflow: experiments, runs, models, versions and their stages."""

    tool = "mlflow"

    def open(self) -> None:
        from e2i.tools.mlflow.tracking import address_of

        point(address_of(self.config, self.home), self.config.registry_uri)
        self.client = GuardedMLflow(self.config, self.guard, self.home)
        self.target = target_of(self.config)

    @traced
    async def get_or_create_experiment(self, name: str, tags: Mapping[str, str] | None = None) -> str | None:
        """Return the id of the experiment; None when MLflow is down. The settings' prefix is put before the name."""
        from e2i.tools.mlflow.runs import ensure_experiment

        try:
            return await self._call(ensure_experiment, self._experiment(name), values.texts(tags or {}))
        except ToolUnavailable:
            return None

    def start_run(
        self,
        experiment_id: str | None = None,
        experiment_name: str | None = None,
        run_name: str | None = None,
        tags: Mapping[str, str] | None = None,
        parent_run_id: str | None = None,
        nested: bool = False,
    ) -> Run:
        """Return a run for ``async with``: FINISHED at its end, FAILED after an exception, KILLED when cancelled.

        Without an experiment it is ``Default``. With ``nested`` and no parent it is below the run that is open here.
        While MLflow is down the run is usable: everything goes to the outbox, and its id is one of our own, which
        every method here accepts.
        """
        self.permit("start_run", agent())
        for given, what in (
            (experiment_id, "the id of the experiment"),
            (experiment_name, "the name of the experiment"),
            (run_name, "the name of the run"),
            (parent_run_id, "the id of the parent run"),
        ):
            if given is not None:
                text(str(given), what)
        return Run(self, experiment_id, experiment_name, run_name, values.texts(tags or {}), parent_run_id, nested)

    @traced
    async def register_model(self, run_id: str, model_name: str, model_path: str = "model") -> ModelVersion | None:
        """Register the model that a run logged as ``model_path``; return its version, None when MLflow is down.

        Raises BadCall when the run has no such model.
        """
        from e2i.tools.mlflow.versions import register

        values.check_registered_name(model_name)
        text(run_id, "the id of the run")
        file_path(model_path, "the path of the model")
        try:
            await self._flush(run_id)
            version = await self._transfer(register, await self.remote_id(run_id), model_name, model_path, uuid4().hex)
        except ToolUnavailable:
            return None
        return ModelVersion(model_name, str(version), ModelStage.DEVELOPMENT)

    @traced
    async def transition_model_stage(
        self, model_name: str, version: str | int, stage: ModelStage | str, archive_existing: bool = True
    ) -> bool:
        """Move a version to a stage. True when done; False when MLflow is down.

        Staging, Shadow and Production hold one version each: the version before is archived, or moved to Development
        with a warning when ``archive_existing`` is False. Raises BadCall for an unknown stage or version.
        """
        from e2i.tools.mlflow.registry import set_stage

        text(model_name, "the name of the model")
        chosen = ModelStage.of(stage)
        number = values.version_number(version)
        if chosen is ModelStage.PRODUCTION:
            self.program.require("promote_to_production", f"moving {model_name} {number} to Production")
        try:
            previous = await self._call(
                set_stage,
                model_name,
                number,
                chosen.value.lower(),
                archive_existing=archive_existing,
                fixed=fixed_stages(self.program.withheld),
            )
        except ToolUnavailable:
            return False
        if previous is not None and not archive_existing and chosen.value.lower() in EXCLUSIVE_STAGES:
            import warnings

            warnings.warn(
                f"version {previous} of {model_name!r} was moved to Development: {chosen.value} holds one version",
                stacklevel=2,
            )
        return True

    @traced
    async def get_latest_model_version(
        self, model_name: str, stages: Sequence[ModelStage | str] | None = None
    ) -> ModelVersion | None:
        """Return the version in the first of the stages that has one; None when none has.

        The default is Production, then Staging. Raises ToolUnavailable when MLflow is down: that is no answer.
        """
        from e2i.tools.mlflow.registry import version_in_stage

        text(model_name, "the name of the model")
        chosen = stages if stages is not None else (ModelStage.PRODUCTION, ModelStage.STAGING)
        if isinstance(chosen, str | ModelStage):
            chosen = (chosen,)
        for stage in [ModelStage.of(one) for one in chosen]:
            found = await self._call(version_in_stage, model_name, stage.value.lower())
            if found is not None:
                return ModelVersion(model_name, str(found.version), stage)
        return None

    async def remote_id(self, run_id: str) -> str:
        """Return MLflow's id of a run, also of one that began while MLflow was down."""
        from e2i.tools.mlflow.programs import find_run

        outgoing = self.program.outgoing
        known: str | None = await asyncio.to_thread(
            outgoing.ask, lambda outbox: outbox.remote(self.tool, self.target, run_id)
        )
        if known is not None:
            return known
        found = await self._call(find_run, run_id)
        return found.id if found else run_id

    async def download(self, uri: str, folder: Path) -> Path:
        """Download a model by ``runs:/``, ``models:/`` or another address of MLflow; return its folder in ``folder``.

        Raises BadCall when there is no such model, ToolUnavailable when MLflow is down.
        """
        from e2i.tools.mlflow.versions import download

        content(uri, "the address of the model")
        if uri.startswith("runs:/"):
            run, _, path = uri.removeprefix("runs:/").partition("/")
            await self._flush(run)
            uri = f"runs:/{await self.remote_id(run)}/{path}"
        return await self._transfer(download, uri, folder)

    async def record(self, run: str, body: programs.ProgramBody, number: int) -> None:
        """Put one entry of a run into the outbox, and have it delivered."""
        await self.program.outgoing.aput([self._entry(run, body, number)])
        self.program.outgoing.deliver(self.tool, self.config, self.guard)

    def put(self, run: str, body: programs.ProgramBody, number: int) -> None:
        """Do the same as ``record``, from a thread."""
        self.program.outgoing.put([self._entry(run, body, number)])
        self.program.outgoing.deliver(self.tool, self.config, self.guard)

    def _entry(self, run: str, body: programs.ProgramBody, number: int) -> Entry:
        kind, content = recorded(body)
        return Entry(keyed(f"{run}/{number}", self.target), self.tool, run, kind, content, target=self.target)

    async def flush(self, run: str, seconds: float | None = None) -> bool:
        """Wait until MLflow has all of a run, at most ``seconds`` (None: the deadline), and not while it is down."""
        within = self.config.deadline if seconds is None else seconds
        return await self.program.outgoing.aflush(self.tool, self.config, self.guard, within, run)

    async def ensure(self, run: str, started: programs.ProgramStarted) -> tuple[str, str]:
        """Create the MLflow run of a program's run now; return its id and the location of its files."""
        from e2i.tools.mlflow.versions import begin

        _, content = recorded(started)
        identity, files = await self._call(begin, run, content)
        await asyncio.to_thread(
            self.program.outgoing.ask, lambda outbox: outbox.name(self.tool, self.target, run, identity)
        )
        return identity, files

    async def _flush(self, run_id: str) -> None:
        """Deliver what waits of a run that this store knows by that id."""
        names = await asyncio.to_thread(self.program.outgoing.ask, lambda outbox: outbox.local_names(self.tool))
        local = next((pair.local for pair in names if pair.remote == run_id), run_id)
        await self.flush(local, self.config.transfer_deadline)

    def _experiment(self, name: str | None) -> str:
        from e2i.tools.mlflow.runs import prefixed

        if name is None:
            return "Default"
        return prefixed(self.config.experiment_prefix, text(name, "the name of the experiment"))

    async def _call(self, function: Callable[Concatenate[Tracking, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function(tracking, …)`` behind the guard, with this process's own client at the same place."""
        if self.enabled:
            await loading.alibrary(self.tool, self.config)
        with mistakes():
            return await self.client.call(_pointed(function), *args, **kwargs)

    async def _transfer(self, function: Callable[Concatenate[Tracking, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the same as ``_call``, with the deadline for transferring files."""
        if self.enabled:
            await loading.alibrary(self.tool, self.config)
        with mistakes():
            return await self.client.transfer(_pointed(function), *args, **kwargs)


def point(uri: str, registry: str | None) -> None:
    """Have this process's own client of MLflow use the server, whether it is imported already or not."""
    publish("MLFLOW_TRACKING_URI", uri)
    if (client := sys.modules.get("mlflow")) is not None and hasattr(client, "set_tracking_uri"):
        client.set_tracking_uri(uri)
        client.set_registry_uri(registry or uri)


def _pointed(function: Callable[Concatenate[Tracking, P], T]) -> Callable[Concatenate[Tracking, P], T]:
    """Return the function; its call has this process's own client of MLflow use the same server."""

    def call(tracking: Tracking, /, *args: P.args, **kwargs: P.kwargs) -> T:
        import mlflow

        if mlflow.get_tracking_uri() != tracking.uri:
            point(tracking.uri, tracking.registry)
        return function(tracking, *args, **kwargs)

    call.__name__ = function.__name__  # for messages
    return call
