"""A real step context over a store in a temporary folder, which also remembers what was recorded.

For tests that call the functions of actions in their own process.
"""

from __future__ import annotations

import os
from pathlib import Path

from e2i.catalog.context import RunInfo
from e2i.catalog.registry import BUILT_IN
from e2i.documents import JsonObject
from e2i.settings import Settings
from e2i.store.artifacts import ArtifactStore
from e2i.telemetry.bodies import Attachment, Child, LLMCall, Measurement, Metric, Param, Warned
from e2i.workers.context import Worker, WorkerContext
from e2i.workers.messages import Progress
from e2i.workers.services import Lifelines
from e2i.workspace.paths import Roots


class LocalContext(WorkerContext):
    """``WorkerContext`` in this process. Telemetry is kept; ``close`` ends the services that were started.

    Files that an action reads are in ``workspace``. A plug-in that the action belongs to is listed in ``settings``.
    """

    def __init__(self, root: Path, *, settings: Settings | None = None, step: str = "step", seed: int = 7) -> None:
        self.metrics: dict[str, float] = {}
        self.params: dict[str, str | int | float | bool] = {}
        self.children: list[Child] = []
        self.calls: list[LLMCall] = []
        self.attachments: dict[str, JsonObject] = {}
        self.progressed: list[Progress] = []
        self.warned: list[str] = []
        self.workspace = root / "workspace"
        self.workspace.mkdir(parents=True, exist_ok=True)
        (root / "store").mkdir(exist_ok=True)
        scratch = root / "scratch"
        scratch.mkdir(exist_ok=True)
        engine, self._engine = os.pipe()
        self._gone, guardians = os.pipe()
        self._inherited = (engine, guardians)
        self.worker = Worker(
            ArtifactStore(root / "store"),
            lambda: settings or Settings(),
            Roots(self.workspace),
            Lifelines(engine, guardians),
            settings.registry if settings else BUILT_IN,
        )
        super().__init__(
            self.worker,
            RunInfo(run="run-1", pipeline="test", step=step, started_ms=1_700_000_000_000),
            seed=seed,
            threads=2,
            fingerprint=f"fingerprint of {step}",
            files=None,
            scratch=scratch,
            emit=self._remember,
        )

    def _remember(self, message: Measurement | Progress) -> None:
        match message:
            case Progress():
                self.progressed.append(message)
            case Metric():
                self.metrics[message.name] = message.value
            case Param():
                self.params[message.name] = message.value
            case Child():
                self.children.append(message)
            case Warned():
                self.warned.append(message.message)
            case LLMCall():
                self.calls.append(message)
            case Attachment():
                self.attachments[message.name] = message.artifact

    def close(self) -> None:
        """Ends every service that is not kept, and waits until all have gone."""
        self.release()
        os.close(self._engine)
        for end in self._inherited:
            os.close(end)
        while os.read(self._gone, 1):
            pass
        os.close(self._gone)
