"""The engine's services for a running action: ``StepContext``, implemented inside a worker process.

In: the call, the settings, the store. Out: frames, artifacts, connectors. Telemetry leaves through ``emit``.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict, replace

from e2i import regular
from e2i.catalog.action import ToolSettings
from e2i.catalog.artifacts import Column, Service, Stored, Table
from e2i.catalog.context import NO_LIMITS, A, C, ChildRun, QueryLimits, RunInfo, idempotency_key
from e2i.catalog.registry import BUILT_IN, Registry
from e2i.documents import OutputValues, ParamValues, Values
from e2i.errors import StepError
from e2i.spec import suggest
from e2i.store import disk, names
from e2i.store.artifacts import ArtifactStore
from e2i.telemetry import llm
from e2i.telemetry.bodies import Attachment, Child, LLMCall, Measurement, Metric, Param, Warned
from e2i.workers import frames, memory, services, tables
from e2i.workers.messages import Progress
from e2i.workspace import matches, modules, paths
from e2i.workspace.paths import Roots

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from e2i.resilience.guard import Guard
    from e2i.settings import Settings
    from e2i.workers.scanning import Scanner

LARGE = 32 << 20
"""Size of tables from which a step's memory is released at once, in bytes. Readers of tables share the files' memory.
"""

CHUNK = 1 << 20
WARNING_LIMIT = 1_000
"""Maximum length of one warning, in characters."""

Emit = Callable[[Measurement | Progress], None]


class Worker:
    """State that outlives a step in one process: open connectors, and recently used frames."""

    def __init__(
        self,
        store: ArtifactStore,
        settings: Callable[[], Settings],
        roots: Roots,
        lifelines: services.Lifelines,
        registry: Registry = BUILT_IN,
    ) -> None:
        self.store = store
        self.registry = registry
        self._read_settings = settings
        self.roots = roots
        self.lifelines = lifelines
        self.frames = frames.FrameCache()
        self._connectors: dict[type[Any], Any] = {}

    @cached_property
    def settings(self) -> Settings:
        """Read when a step first needs them: many never do."""
        return self._read_settings()

    def connect(self, connector: type[C]) -> C:
        opened = self._connectors.get(connector)
        if opened is None:
            opened = connector(
                self.settings.tool(connector.tool),
                guard_of(connector.tool, self.settings, self.store.root),
                self.home(connector.tool),
            )
            self._connectors[connector] = opened
        result: C = opened
        return result

    def home(self, tool: str) -> Path:
        return disk.folder(self.store.root, tool)


def guard_of(tool: str, settings: Settings, store: Path, *, patient: bool = True) -> Guard:
    """Return a guard with the tool's declaration, and this environment's deadline, circuit breaker and credentials.

    All processes of the store share the breaker. Unless ``patient``, an open circuit does not wait for its recovery
    time, because a user who runs a check may probe at once.
    """
    from e2i.resilience.circuits import breaker_of
    from e2i.resilience.guard import Guard  # with asyncio, which most steps do not need
    from e2i.workers.withheld import Withheld

    declared = settings.registry.tool(tool)
    assert declared is not None, tool
    configured = settings.tool(tool)
    return Guard(
        tool,
        breaker=breaker_of(store, tool, configured, patient=patient),
        deadline=configured.deadline,
        outages=declared.outages,
        extra=declared.extra,
        mask=Withheld(settings, (tool,)).text,
    )


class WorkerContext:
    """Implements ``e2i.catalog.context.StepContext`` for one attempt of one step."""

    def __init__(
        self,
        worker: Worker,
        info: RunInfo,
        *,
        seed: int,
        threads: int,
        fingerprint: str,
        files: Mapping[str, str | None] | None,
        scratch: Path,
        emit: Emit,
        scanner: Scanner | None = None,
        query_limits: QueryLimits = NO_LIMITS,
        withheld: Collection[str] = (),
    ) -> None:
        """``files``: the digests of the workspace files that the step may read; None: any file, unchecked."""
        self._worker = worker
        self.info = info
        self.seed = seed
        self.threads = threads
        self.query_limits = query_limits
        self.withheld = withheld
        self.scratch = scratch
        self._fingerprint = fingerprint
        self._emit = emit
        self._files = files
        self._held = ExitStack()
        self._scanner = scanner
        """Return the scanner for the step's secrets, if it has any."""
        self._leak: StepError | None = None
        self._written = 0
        """Bytes of the tables that the step has stored."""

    def settings(self, tool: str) -> ToolSettings:
        return self._worker.settings.tool(tool)

    def connect(self, connector: type[C]) -> C:
        return self._worker.connect(connector)

    def home(self, tool: str) -> Path:
        return self._worker.home(tool)

    def held_file(self, text: str) -> Path:
        roots = self._worker.roots
        name = regular.scratch_folder(self.scratch, "held-") / paths.resolve(roots, text).name
        self._expect(text)
        copy = self._held.enter_context(tempfile.TemporaryFile(dir=self.scratch))  # noqa: SIM115 - nameless, until release
        hashed = hashlib.sha256()
        with os.fdopen(paths.open_file(roots, text), "rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                hashed.update(chunk)
                copy.write(chunk)
        copy.flush()
        self._verify(text, hashed.hexdigest())
        name.symlink_to(f"/proc/self/fd/{copy.fileno()}")
        return name

    def held_files(self, text: str) -> Mapping[str, Path]:
        return {name: self.held_file(name) for name in paths.matching(self._worker.roots, text)}

    def place(self, content: Path, text: str) -> None:
        if self._scanner is not None and self._scanner.is_in_file(content):
            self._refuse(f"the file {text}")
        paths.place(self._worker.roots, text, content)

    def placed(self, text: str) -> str | None:
        return paths.digest(self._worker.roots, text)

    def placed_content(self, text: str) -> bytes | None:
        return paths.written(self._worker.roots, text)

    def run_file(self, text: str) -> Values:
        from e2i.workers import code

        root = self._worker.roots.workspace
        contents = {text: self.read_code(text)}
        contents |= {name: self.read_code(name) for name in self._modules(text) if name != text}
        copies = regular.scratch_folder(self.scratch, "code-")
        self._held.enter_context(code.importing(root, contents, copies))
        return code.run(root, text, contents[text])

    def confirm_files(self, patterns: Iterable[str] = ()) -> None:
        for pattern in patterns:
            found = matches.of(self._worker.roots, pattern)
            if not found:
                raise StepError(f"no file matches {pattern!r}", code="no-such-file")
            for name in found:
                if self._files is not None and name not in self._files:
                    self._verify(name, "new")
        if self._files is None:
            return
        for name, planned in self._files.items():
            if planned is not None and not name.endswith(modules.SUFFIXES):  # code is held
                self._expect(name)
                with os.fdopen(paths.open_file(self._worker.roots, name), "rb") as file:
                    self._verify(name, hashlib.file_digest(file, "sha256").hexdigest())

    def _modules(self, file: str) -> Iterable[str]:
        """Return the files that the step may import."""
        if self._files is not None:
            return [name for name in self._files if name.endswith(modules.SUFFIXES)]
        from e2i.workspace import environment  # with the planner and the models of specs: a third of a worker's start

        return environment.of(self._worker.roots, self._worker.settings).modules(file)

    def read_code(self, text: str) -> bytes:
        self._expect(text)
        content = paths.read(self._worker.roots, text, modules.LARGEST)
        self._verify(text, hashlib.sha256(content).hexdigest())
        return content

    def _expect(self, text: str) -> None:
        """Return a workspace file. Raises StepError when there is no such file, with the nearest name."""
        if paths.look(self._worker.roots, text) != "missing":
            return
        self._verify(text, None)
        path = paths.resolve(self._worker.roots, text)
        near = sorted(item.name for item in path.parent.iterdir() if item.is_file()) if path.parent.is_dir() else ()
        raise StepError(f"there is no file {text}", code="no-such-file", hint=suggest.hint(path.name, near))

    def _verify(self, text: str, hashed: str | None) -> None:
        """Raise StepError when a file's content (by its SHA-256; None: the file is missing) differs from the plan."""
        if self._files is None or self._files.get(text) == (hashed and f"sha256:{hashed}"):
            return
        what = "is gone" if hashed is None else "is new" if self._files.get(text) is None else "changed"
        raise StepError(
            f"the file {text!r} {what} since the step was planned and is not used",
            code="input-changed-during-run",
            hint="run the spec again when no process writes to the file any more",
        )

    def release(self) -> None:
        """Close open resources and release the memory of large tables; called by the owner of the context."""
        self._held.close()
        if self._written > LARGE:
            memory.give_back()
            self._written = 0

    def arrow(self, table: Table, columns: Sequence[str] | None = None) -> pa.Table:
        return tables.read(self._worker.store.path(table.digest), columns)

    def frame(self, table: Table, columns: Sequence[str] | None = None) -> pd.DataFrame:
        path = self._worker.store.path(table.digest)  # first: a corrupt artifact is not used, in memory or not
        cached = self._worker.frames.get(table.digest)
        if cached is None:
            if columns is not None:
                return frames.to_frame(tables.read(path, columns))
            cached = frames.to_frame(tables.read(path))
            self._worker.frames.put(table.digest, cached)
        if columns is None:
            return cached
        tables.require(table.names, columns)
        return cached[list(columns)]

    def frames(self, table: Table, rows: int) -> Iterator[pd.DataFrame]:
        whole = self.arrow(table)
        for start in range(0, whole.num_rows, rows):
            yield frames.to_frame(whole.slice(start, rows))

    def table(self, rows: pa.Table | pd.DataFrame) -> Table:
        import pyarrow as pa

        path = self._new_file()
        if not isinstance(rows, pa.Table):
            rows = frames.to_arrow(rows)
        count = rows.num_rows
        whole = [rows]
        del rows
        columns, digest = tables.write(whole.pop(), path)
        return self._stored(path, columns, count, digest)

    def batches(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Table:
        path = self._new_file()
        columns, count, digest = tables.write_batches(schema, batches, path)
        return self._stored(path, columns, count, digest)

    def _new_file(self) -> Path:
        with tempfile.NamedTemporaryFile(dir=self.scratch, suffix=".arrow", delete=False) as file:
            return Path(file.name)

    def _stored(self, path: Path, columns: tuple[Column, ...], rows: int, digest: str) -> Table:
        self._written += path.stat().st_size
        if self._scanner is not None and self._scanner.is_in_content(path):
            self._refuse(f"{self._scanner.table(path) or 'a column'} of a table")
        return Table(digest=self._worker.store.put(path, digest), columns=columns, rows=rows)

    def open(self, artifact: Stored) -> Path:
        return self._worker.store.path(artifact.digest)

    def keep(self, path: Path, kind: type[A], **facts: Any) -> A:
        if self._scanner is not None and self._scanner.is_in_file(path):
            self._refuse(f"the content of a {kind.__name__.lower()}")
        return kind(digest=self._worker.store.put(path), **facts)

    def metric(self, name: str, value: float, step: int = 0) -> None:
        if not math.isfinite(value):
            raise StepError(f"metric {name!r} is {value}, not a finite number", code="bad-metric")
        self._record(Metric(step=self.info.step, name=name, value=float(value), index=int(step)))

    def param(self, name: str, value: str | int | float | bool) -> None:
        self._record(Param(step=self.info.step, name=name, value=value))

    def child(self, child: ChildRun) -> None:
        self._record(
            Child(
                step=self.info.step,
                name=child.name,
                status=child.status,
                started_ms=child.started_ms,
                ended_ms=child.ended_ms,
                params=ParamValues(child.params),
                metrics=dict(child.metrics),
            )
        )

    def attach(self, name: str, artifact: Stored) -> None:
        self._record(Attachment(step=self.info.step, name=name, artifact=artifact.model_dump(mode="json")))

    def llm(self, call: LLMCall) -> None:
        found = replace(call, step=self.info.step)
        self._record(found, llm.shortened(found))

    def progress(self, done: int, total: int, note: str = "") -> None:
        self._emit(Progress(int(done), int(total), str(note)))

    def warn(self, message: str) -> None:
        found = Warned(step=self.info.step, message=str(message))
        self._record(found, replace(found, message=found.message[:WARNING_LIMIT]))

    def key(self, *parts: str) -> str:
        return idempotency_key(self._fingerprint, *parts)

    def lasting(self, argv: Sequence[str], handed: int) -> list[str]:
        return services.lasting(argv, handed)

    def serve(
        self, argv: Sequence[str], *, port: int, ready: str, env: Mapping[str, str], digest: str, keep: bool
    ) -> Service:
        logs = disk.folder(self._worker.store.root, "runs", self.info.run, "logs")
        log = logs / f"{names.of_step(self.info.step)}.service.log"
        return services.start(
            argv, port=port, ready=ready, env=env, log=log, digest=digest, keep=keep, lifelines=self._worker.lifelines
        )

    def check(self, outputs: OutputValues) -> OutputValues:
        """Return the outputs. Raises StepError when data that leaves the step contains one of its secrets."""
        if self._scanner is not None and self._scanner.is_in_data(outputs):
            self._refuse(f'the output "{self._scanner.leaf(outputs)}"')
        if self._leak is not None:  # the action may have caught the first error
            raise self._leak
        return outputs

    def _refuse(self, where: str) -> None:
        """Fail the step: it would pass a secret on."""
        from e2i.workers.scanning import leaked

        self._leak = self._leak or leaked(where)
        raise self._leak

    def _record(self, body: Measurement, shown: Measurement | None = None) -> None:
        """Emit a measurement, or what is shown of it, unless it contains a secret."""
        if self._scanner is not None and self._scanner.is_in_data({**asdict(body), "step": None}):
            self._refuse(f"a {type(body).__name__.lower()} that is recorded")
        self._emit(body if shown is None else shown)
