"""An executor in this process: a call comes in, its action is executed at once, what it said comes out at the next poll.

For properties that need hundreds of runs. Everything but the worker processes is real: plan, engine, journal, store.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from e2i.catalog.artifacts import read_artifacts
from e2i.catalog.registry import BUILT_IN, Registry
from e2i.errors import E2IError
from e2i.settings import Settings
from e2i.store.artifacts import ArtifactStore
from e2i.workers.context import Worker, WorkerContext
from e2i.workers.executor import Ended, Failure, Message, StepCall
from e2i.workers.services import Lifelines
from e2i.workspace.paths import Roots


class Inline:
    """Stands in for ``e2i.workers.pool.Pool``; ``executed`` are the steps of the last run, in order."""

    executed: list[str]

    def __init__(
        self,
        size: int,
        *,
        store: Path,
        roots: Roots,
        settings: str,
        environ: Mapping[str, str],
        registry: Registry = BUILT_IN,
    ) -> None:
        read = partial(Settings.model_validate_json, settings)
        self._worker = Worker(ArtifactStore(store), read, roots, Lifelines(0, 0), registry)
        self._messages: list[Message] = []
        type(self).executed = []

    def free(self) -> int:
        return 1

    def free_memory(self) -> int:
        return 1 << 40

    def is_idle(self) -> bool:
        return True

    def affinity(self, uses: str) -> int:
        return 0

    def submit(self, call: StepCall) -> None:
        self.executed.append(call.info.step)
        with tempfile.TemporaryDirectory() as scratch:
            context = WorkerContext(
                self._worker,
                call.info,
                seed=call.seed,
                threads=call.threads,
                fingerprint=call.fingerprint,
                files=call.files,
                scratch=Path(scratch),
                emit=_ignore,
            )
            self._messages.append(_act(call, context))

    def preload(self, uses: Sequence[str], *, certain: bool = False) -> None:
        """Nothing needs to be ready."""

    def poll(self, seconds: float) -> list[Message]:
        messages, self._messages = self._messages, []
        return messages

    def cancel(self, step: str) -> None:
        """Nothing is ever under way."""

    def dismiss(self) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing is left."""


def _act(call: StepCall, context: WorkerContext) -> Ended:
    found = BUILT_IN.action(call.uses)
    assert found is not None
    try:
        params = found.params.model_validate(read_artifacts(call.params))
        outputs: dict[str, Any] = BUILT_IN.function(call.uses)(params, context).model_dump(mode="json")
    except E2IError as error:
        return Ended(call.info.step, 0.0, failure=Failure(error.code, error.message, error.hint))
    finally:
        context.release()
    return Ended(call.info.step, 0.0, outputs)


def _ignore(message: object) -> None:
    """Telemetry has nowhere to go."""
