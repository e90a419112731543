"""The context that actions are called with in tests, with deadlines that hold on a busy machine."""

from __future__ import annotations

from pathlib import Path

from e2i.settings import Settings
from e2i.testing import context
from project import WITHIN

PATIENT = Settings(tools={tool: {"deadline": WITHIN} for tool in ("bentoml", "feast", "mlflow", "opik")})
"""Deadlines for calls that a tool misses which hangs, and no other, however busy the machine is."""


class LocalContext(context.LocalContext):
    """``e2i.testing.context.LocalContext`` with these deadlines."""

    def __init__(self, root: Path, *, settings: Settings | None = None, step: str = "step", seed: int = 7) -> None:
        super().__init__(root, settings=settings or PATIENT, step=step, seed=seed)
