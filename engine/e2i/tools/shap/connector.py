"""The SHAP client of the platform's agents. In: a loaded model and rows. Out: SHAP values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from e2i.resilience.guard import Guard
from e2i.tools.shap import SHAPSettings, values

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Scorer
    from e2i.tools.shap.values import Explanation


class GuardedShap:
    """Explains models opened by ``e2i.estimators.scoring.load``."""

    tool: ClassVar[str] = "shap"

    def __init__(self, settings: SHAPSettings, guard: Guard, home: Path) -> None:
        self._guard = guard

    async def explain(
        self, scorer: Scorer, frame: pd.DataFrame, background: pd.DataFrame, *, threads: int = 1
    ) -> Explanation:
        """Return SHAP values of every row, shape (n, p, k). Raises StepError when they miss the model's margin."""
        return await self._guard.acall(values.explain, scorer, frame, background, threads=threads)

    async def explain_instance(
        self, scorer: Scorer, frame: pd.DataFrame, row: int, background: pd.DataFrame
    ) -> Explanation:
        """Return SHAP values of one row of ``frame``. A row is never its own background: its values would all be 0."""
        return await self.explain(scorer, frame.iloc[[row]], background)
