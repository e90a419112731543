"""``MLflowConnector``: MLflow for programs. In: what a program logs and asks. Out: runs, models and their stages.

What is logged goes to the store's outbox first, and from there to MLflow in the background. So a run is usable while
MLflow is down, and a program that is killed loses nothing that it has logged.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar, Token
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Self, TypeVar
from uuid import uuid4

from msgspec import Struct

from e2i.errors import ToolUnavailable
from e2i.mlops.connector import Connector
from e2i.mlops.mistakes import LONGEST_PART, NAME_MAX, PATH_MAX, BadCall, content, file_path, mistakes, text
from e2i.mlops.program import publish
from e2i.mlops.tracing import agent, traced
from e2i.regular import folder_mode, open_to_group
from e2i.resilience.processes import process_identity
from e2i.spec import suggest
from e2i.store import use
from e2i.telemetry import programs
from e2i.telemetry.bodies import recorded
from e2i.telemetry.entries import Entry, keyed, target_of
from e2i.tools.mlflow import EXCLUSIVE_STAGES
from e2i.tools.mlflow import MLflowSettings as MLflowConfig
from e2i.tools.mlflow.connector import GuardedMLflow

__all__ = ["MLflowConfig", "MLflowConnector", "ModelStage", "ModelVersion", "Run", "current_run"]

if TYPE_CHECKING:
    from e2i.tools.mlflow.tracking import Tracking

P = ParamSpec("P")
T = TypeVar("T")
V = TypeVar("V")
LONGEST_PARAM = 6_000
"""Characters of a parameter that MLflow keeps."""
ENVIRONMENT = "${ENVIRONMENT}"
Status = Literal["FINISHED", "FAILED", "KILLED"]
current_run: ContextVar[Run | None] = ContextVar("e2i.mlops.current_run", default=None)
"""The run that is open here: trials of a search become nested runs of it."""


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
            return await self._call(ensure_experiment, self._experiment(name), _texts(tags or {}))
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
        return Run(self, experiment_id, experiment_name, run_name, _texts(tags or {}), parent_run_id, nested)

    @traced
    async def register_model(self, run_id: str, model_name: str, model_path: str = "model") -> ModelVersion | None:
        """Register the model that a run logged as ``model_path``; return its version, None when MLflow is down.

        Raises BadCall when the run has no such model.
        """
        from e2i.tools.mlflow.versions import register

        _check_name(model_name)
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
        number = _number(version)
        if chosen is ModelStage.PRODUCTION:
            self.program.require("promote_to_production", f"moving {model_name} {number} to Production")
        try:
            previous = await self._call(
                set_stage, model_name, number, chosen.value.lower(), archive_existing=archive_existing
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
        with mistakes():
            return await self.client.call(_pointed(function), *args, **kwargs)

    async def _transfer(self, function: Callable[Concatenate[Tracking, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the same as ``_call``, with the deadline for transferring files."""
        with mistakes():
            return await self.client.transfer(_pointed(function), *args, **kwargs)


class Run:
    """A run of a program, for ``async with``. Everything that is logged is durable when the method returns."""

    def __init__(
        self,
        connector: MLflowConnector,
        experiment_id: str | None,
        experiment_name: str | None,
        name: str | None,
        tags: dict[str, str],
        parent: str | None,
        nested: bool,
    ) -> None:
        self._connector = connector
        self._experiment = (experiment_id, experiment_name)
        self._name = name
        self._tags = tags
        self._parent = parent
        self._nested = nested
        self._local = uuid4().hex
        self._count = 0
        self._params: dict[str, str] = {}
        self._token: Token[Run | None] | None = None
        self._is_open = False
        self.run_id = self._local
        """MLflow's id; of a run that began while MLflow was down, an id of our own that every method accepts."""
        self.artifact_uri = f"runs:/{self._local}"

    @property
    def tracking_uri(self) -> str | None:
        """Address of the server that the run is on; None when MLflow is embedded."""
        return self._connector.config.tracking_uri

    def __enter__(self) -> Self:
        raise BadCall("a run is begun with `async with`", hint="async with connector.start_run(...) as run:")

    def __exit__(self, *error: object) -> None:
        """Exist, so that ``with`` reaches ``__enter__``, which says what to write."""

    async def __aenter__(self) -> Self:
        if self._count:
            raise BadCall("a run can be started only once", hint="call start_run again for another run")
        above = current_run.get()
        parent = self._parent or (above.run_id if self._nested and above else None)
        experiment_id, experiment_name = self._experiment
        connector = self._connector
        started = programs.ProgramStarted(
            experiment="" if experiment_id is not None else connector._experiment(experiment_name),
            experiment_id=None if experiment_id is None else str(experiment_id),
            name=self._name,
            tags={**_default_tags(connector), **self._tags},
            parent=parent,
            started_ms=_now_ms(),
            holder=process_identity(),
        )
        with suppress(ToolUnavailable):  # then the entry waits in the outbox
            self.run_id, self.artifact_uri = await connector.ensure(self._local, started)
        await self._record(started)
        self._is_open = True
        self._token = current_run.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _reset(self._token)
        status: Status = "FINISHED" if error is None else "FAILED" if isinstance(error, Exception) else "KILLED"
        self._is_open = False
        await asyncio.shield(self._record(programs.ProgramFinished(status=status, ended_ms=_now_ms())))
        if status != "KILLED":
            await self._connector.flush(self._local)

    @traced
    async def log_params(self, params: Mapping[str, object]) -> None:
        """Log parameters. A parameter keeps its first value: another one raises BadCall."""
        texts = _params(_mapping(params, "parameters"))
        for name, value in texts.items():
            if len(value) > LONGEST_PARAM:
                raise BadCall(
                    f"the parameter {name!r} has {len(value):,} characters",
                    hint=f"at most {LONGEST_PARAM:,}; log a file",
                )
            if self._params.get(name, value) != value:
                raise BadCall(
                    f"the parameter {name!r} of this run is {self._params[name]!r}, it cannot become {value!r}",
                    hint="log it under another name, or as a metric",
                )
        self._params.update(texts)
        await self._record(programs.ProgramParams(params=texts))

    @traced
    async def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log one value of each metric, at ``step`` (0 if None). MLflow keeps infinity as its largest number."""
        values = _metrics(_mapping(metrics, "metrics"))
        await self._record(programs.ProgramMetrics(metrics=values, step=_step(step), at_ms=_now_ms()))

    @traced
    async def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags; a later value replaces an earlier one."""
        await self._record(programs.ProgramTags(tags=_texts(_mapping(tags, "tags"))))

    @traced
    async def log_artifact(self, path: str | Path, artifact_path: str | None = None) -> None:
        """Log a file or a folder, below ``artifact_path``. Its present content is kept."""
        source = Path(file_path(str(path), "the path of the file", part=NAME_MAX, longest=PATH_MAX))
        if not source.exists():
            raise BadCall(f"there is no file {str(path)!r}", code="no-such-file")
        name, folder = source.resolve().name, _folder(artifact_path)
        for inner in (source, *source.rglob("*")):
            file_path(inner.name or name, "the name of a file", part=NAME_MAX)
        await self._store(
            lambda scratch: _copy(source, scratch / name),
            lambda digest: programs.ProgramFiles(digest=digest, name=name, folder=folder),
        )

    @traced
    async def log_model(
        self,
        model: Any,
        artifact_path: str,
        registered_model_name: str | None = None,
        signature: Any = None,
        input_example: Any = None,
    ) -> str:
        """Log a fitted estimator by its library's own flavour, or a model of e2i; return its uri.

        ``mlflow.<flavor>.load_model`` reads it without e2i. ``signature`` and ``input_example`` are MLflow's. Raises
        BadCall for an object that no flavour saves.
        """
        from e2i.tools.mlflow import flavors

        name = _model_name(artifact_path)
        if registered_model_name is not None:
            _check_name(registered_model_name)
        flavor = ""
        held = self._connector.program.artifacts

        def save(scratch: Path) -> Path:
            nonlocal flavor
            flavor = flavors.save(
                model, scratch / "model", lambda artifact: held.path(artifact.digest), signature, input_example
            )
            return scratch / "model"

        def body(digest: str) -> programs.ProgramModel:
            return programs.ProgramModel(digest=digest, name=name, flavor=flavor, registered=registered_model_name)

        with mistakes():
            await self._store(save, body)
        await self._connector.flush(self._local, self._connector.config.transfer_deadline)
        return f"runs:/{self.run_id}/{name}"

    async def log_child(
        self,
        name: str,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        status: str,
        started_ms: int,
        ended_ms: int,
    ) -> None:
        """Log a nested run that has ended, such as a trial. ``status`` is finished or failed."""
        word = str(status).lower()
        if word not in ("finished", "failed"):
            raise BadCall(f"{status!r} is not the status of a nested run", hint="use finished or failed")
        await self._record(
            programs.ProgramChild(
                name=text(str(name), "the name of a nested run"),
                status="finished" if word == "finished" else "failed",
                params=_params(params),
                metrics=_metrics(metrics),
                started_ms=started_ms,
                ended_ms=ended_ms,
            )
        )

    async def _record(self, body: programs.ProgramBody) -> None:
        await self._connector.record(self._local, body, self._next(body))

    def _next(self, body: programs.ProgramBody | None = None) -> int:
        """Return the number of the next entry. Raises BadCall outside the run's block."""
        if not self._is_open and not isinstance(body, programs.ProgramStarted | programs.ProgramFinished):
            state = "has ended" if self._count else "has not begun"
            raise BadCall(f"this run {state}", hint="log inside its `async with`")
        self._count += 1
        return self._count

    async def _store(self, write: Callable[[Path], Path], body: Callable[[str], programs.ProgramBody]) -> None:
        """Keep what ``write`` puts into a scratch folder by its content, and record it."""
        number = self._next()
        await asyncio.to_thread(self._keep, write, body, number)

    def _keep(self, write: Callable[[Path], Path], body: Callable[[str], programs.ProgramBody], number: int) -> None:
        program = self._connector.program
        scratch = program.store / "tmp"
        with use.in_use(program.store):  # until the entry is there, a collection would remove the content
            scratch.mkdir(mode=folder_mode(program.store), exist_ok=True)
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                open_to_group(Path(folder))
                digest = program.artifacts.put(write(Path(folder)))
            self._connector.put(self._local, body(digest), number)


def _reset(token: Token[Run | None]) -> None:
    try:
        current_run.reset(token)
    except ValueError:  # the block was left in another task than it was entered in
        current_run.set(None)


def point(uri: str, registry: str | None) -> None:
    """Have this process's own client of MLflow use the server, whether it is imported already or not."""
    publish("MLFLOW_TRACKING_URI", uri)
    if (client := sys.modules.get("mlflow")) is not None and hasattr(client, "set_tracking_uri"):
        client.set_tracking_uri(uri)
        client.set_registry_uri(registry or uri)


def _mapping(given: Mapping[str, V], what: str) -> Mapping[str, V]:
    if not isinstance(given, Mapping):
        raise BadCall(
            f"{what} are {type(given).__name__}, not a mapping of names to values", hint='such as {"auc": 0.9}'
        )
    return given


def _key(name: object, what: str) -> str:
    """Return the name of a metric or a parameter. Raises BadCall for one that MLflow does not take."""
    from e2i.tools.mlflow.runs import key_of

    plain = str(name)
    if not plain.strip():
        raise BadCall(f"a {what} has no name", hint="give it a name of letters, digits, _ - . / and spaces")
    if (near := key_of(plain)) != plain:
        raise BadCall(f"{plain[:80]!r} is not a name of a {what}", hint=f"such as {near[:80]!r}")
    return plain


def _step(step: int | None) -> int:
    if step is None:
        return 0
    if isinstance(step, bool) or not hasattr(step, "__index__"):
        raise BadCall(f"the step {step!r} is not a whole number", hint="count steps from 0")
    return step.__index__()


def _pointed(function: Callable[Concatenate[Tracking, P], T]) -> Callable[Concatenate[Tracking, P], T]:
    """Return the function; its call has this process's own client of MLflow use the same server."""

    def call(tracking: Tracking, /, *args: P.args, **kwargs: P.kwargs) -> T:
        import mlflow

        if mlflow.get_tracking_uri() != tracking.uri:
            point(tracking.uri, tracking.registry)
        return function(tracking, *args, **kwargs)

    call.__name__ = function.__name__  # for messages
    return call


def _default_tags(connector: MLflowConnector) -> dict[str, str]:
    environment = os.environ.get("ENVIRONMENT") or connector.program.environment
    return {name: value.replace(ENVIRONMENT, environment) for name, value in connector.config.default_tags.items()}


def _texts(tags: Mapping[str, object]) -> dict[str, str]:
    """Return tags as text."""
    return {
        text(str(name), "the name of a tag"): content(str(value), f"the tag {name!r:.80}")
        for name, value in tags.items()
    }


def _params(params: Mapping[str, object]) -> dict[str, str]:
    """Return parameters as MLflow's own client writes them."""
    return {
        _key(name, "parameter"): content(str(value), f"the parameter {name!r:.80}") for name, value in params.items()
    }


def _metrics(metrics: Mapping[str, float]) -> dict[str, programs.Number]:
    return {_key(name, "metric"): programs.number(_float(name, value)) for name, value in metrics.items()}


def _float(name: object, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # numbers of any library; anything else raises
    except (TypeError, ValueError):
        raise BadCall(
            f"the metric {name!r} is {value!r}, not a number", hint="log text with log_params or set_tags"
        ) from None


def _number(version: str | int) -> int:
    try:
        return int(version)
    except (TypeError, ValueError):
        raise BadCall(f"{version!r} is not the number of a version", hint='pass it as "3" or 3') from None


def _folder(path: str | None) -> str | None:
    if path is None:
        return None
    parts = Path(file_path(path, "artifact_path")).parts
    if not parts or Path(path).is_absolute() or ".." in parts:
        raise BadCall(f"{path!r} is not a folder of a run's artifacts", hint="write a relative path, such as plots")
    return "/".join(parts)


def _model_name(path: str) -> str:
    if not path or any(sign in path for sign in "/:.%\"'\\"):
        raise BadCall(
            f"{path!r:.80} is not a name for a model", hint='a name without / : . % and quotes, such as "model"'
        )
    return text(path, "the name of the model", longest=LONGEST_PART)


def _check_name(name: str) -> None:
    """Raise BadCall unless a registered model can have the name."""
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", name):
        raise BadCall(f"{name!r:.80} is not a name for a registered model", hint="use letters, digits, _ . and -")


def _copy(source: Path, target: Path) -> Path:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(source, target)
    return target


def _now_ms() -> int:
    return int(time.time() * 1000)
