"""``Run``: one run of a program in MLflow. In: what the program logs. Out: entries of the store's outbox."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from uuid import uuid4

from e2i.errors import ToolUnavailable
from e2i.mlops import loading
from e2i.mlops import mlflow_values as values
from e2i.mlops.mistakes import NAME_MAX, PATH_MAX, BadCall, file_path, mistakes, text
from e2i.mlops.tracing import traced
from e2i.regular import folder_mode, open_to_group
from e2i.resilience.processes import process_identity
from e2i.store import use
from e2i.telemetry import programs

if TYPE_CHECKING:
    from e2i.mlops.mlflow import MLflowConnector

LONGEST_PARAM = 6_000
"""Characters of a parameter that MLflow keeps."""
ENVIRONMENT = "${ENVIRONMENT}"
Status = Literal["FINISHED", "FAILED", "KILLED"]
current_run: ContextVar[Run | None] = ContextVar("e2i.mlops.current_run", default=None)
"""The run that is open here: trials of a search become nested runs of it."""


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
        texts = values.params_of(values.mapping(params, "parameters"))
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
        found = values.metrics_of(values.mapping(metrics, "metrics"))
        await self._record(programs.ProgramMetrics(metrics=found, step=values.step_of(step), at_ms=_now_ms()))

    @traced
    async def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags; a later value replaces an earlier one."""
        await self._record(programs.ProgramTags(tags=values.texts(values.mapping(tags, "tags"))))

    @traced
    async def log_artifact(self, path: str | Path, artifact_path: str | None = None) -> None:
        """Log a file or a folder, below ``artifact_path``. Its present content is kept."""
        source = Path(file_path(str(path), "the path of the file", part=NAME_MAX, longest=PATH_MAX))
        if not source.exists():
            raise BadCall(f"there is no file {str(path)!r}", code="no-such-file")
        name, folder = source.resolve().name, values.folder_of(artifact_path)
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

        name = values.model_name(artifact_path)
        if registered_model_name is not None:
            values.check_registered_name(registered_model_name)
        flavor = ""
        held = self._connector.program.artifacts

        def save(scratch: Path) -> Path:
            nonlocal flavor
            with loading.first(f"models of {type(model).__module__.partition('.')[0]}"):
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
                params=values.params_of(params),
                metrics=values.metrics_of(metrics),
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


def _default_tags(connector: MLflowConnector) -> dict[str, str]:
    environment = os.environ.get("ENVIRONMENT") or connector.program.environment
    return {name: value.replace(ENVIRONMENT, environment) for name, value in connector.config.default_tags.items()}


def _copy(source: Path, target: Path) -> Path:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(source, target)
    return target


def _now_ms() -> int:
    return int(time.time() * 1000)
