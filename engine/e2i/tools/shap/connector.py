"""The guarded explainer. In: a loaded model, or a live one, and rows. Out: SHAP values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from e2i.resilience.guard import Guard
from e2i.tools.shap import SHAPSettings, scorers
from e2i.tools.shap.values import ExplainerName, How

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Scorer
    from e2i.tools.shap.foreign import Foreign
    from e2i.tools.shap.values import Explanation


class GuardedShap:
    """Explains models opened by ``e2i.estimators.scoring.load``, and live models of any library."""

    tool: ClassVar[str] = "shap"

    def __init__(self, settings: SHAPSettings, guard: Guard, home: Path) -> None:
        self._settings = settings
        self._guard = guard

    def how(self, explainer: ExplainerName = "auto", **others: Any) -> How:
        """Return how rows are explained: as asked, and otherwise as the settings say."""
        return How(
            explainer, **{"background_rows": self._settings.background_rows, "seed": self._settings.seed, **others}
        )

    async def explain(self, scorer: Scorer, frame: pd.DataFrame, background: pd.DataFrame, how: How) -> Explanation:
        """Return SHAP values of every row, shape (n, p, k). Raises StepError when they miss the model's margin."""
        return await self._guard.acall(scorers.explain, scorer, frame, background, how)

    async def explain_function(
        self, model: Foreign, frame: pd.DataFrame, background: pd.DataFrame, how: How
    ) -> Explanation:
        """Return SHAP values of every row of a model of MLflow's, by its predictions."""
        return await self._guard.acall(model.explain, frame, background, how)

    def explain_live(
        self, model: Any, table: Any, how: How, *, hint: str | None = None, instance: int | None = None
    ) -> Explanation:
        """Return SHAP values of a live model, of every row or of one. Raises StepError as ``live.explain`` does."""
        from e2i.tools.shap import live

        return self._guard.call(live.explain, model, table, how, hint=hint, instance=instance)

    def interactions(self, model: Any, table: Any, how: How) -> Any:
        """Return interaction values of a live model of trees. Raises StepError as ``live.interactions`` does."""
        from e2i.tools.shap import live

        return self._guard.call(live.interactions, model, table, how)
