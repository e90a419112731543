"""Explain models of MLflow that e2i did not train, by their predictions. In: a URI, rows. Out: SHAP values.

The model is its Python function, which takes a table. Its predictions must be numbers: of a classifier, log the model
with ``pyfunc_predict_fn="predict_proba"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from e2i.errors import StepError
from e2i.tools.mlflow.connector import GuardedMLflow
from e2i.tools.shap import LoggedModel, agnostic, choice
from e2i.tools.shap.values import Explanation, How, additive

if TYPE_CHECKING:
    import pandas as pd

    from e2i.catalog.context import StepContext


class Foreign:
    """A loaded model."""

    def __init__(self, model: LoggedModel, function: Any) -> None:
        self._model = model
        self._function = function
        self.classes: list[Any] | None = None
        """Names of the outputs, if there are several and they have names."""

    @classmethod
    async def open(cls, model: LoggedModel, ctx: StepContext) -> Foreign:
        """Return the model. Raises StepError when it does not exist, and ToolUnavailable when MLflow is down."""
        return cls(model, await ctx.connect(GuardedMLflow).open_function(model.uri, ctx.scratch / "function"))

    def features(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the model's columns of a table. Raises StepError when one is missing."""
        missing = [name for name in self._model.features if name not in frame.columns]
        if missing:
            raise StepError(f"the table has no column {missing[0]!r}", code="unknown-column", hint="check `features`")
        return frame[list(self._model.features)]

    def explain(self, frame: pd.DataFrame, background: pd.DataFrame, how: How) -> Explanation:
        """Return SHAP values (n, p, k) of every row, which add up to the predictions."""
        import numpy as np

        rows, others = self.features(frame), self.features(background)
        found = agnostic.explain(self._predict, rows, others, how)
        values, margin = _with_outputs(np.asarray(found.values), 2), _with_outputs(np.asarray(found.margin), 1)
        outputs = values.shape[2]
        names = self.classes if outputs > 1 and self.classes and len(self.classes) == outputs else list(range(outputs))
        pairs = None
        if how.interactions:
            first = rows.iloc[: how.interactions]
            pairs = _with_outputs(agnostic.interactions(self._predict, first, others, how), 3)
        explainer = how.explainer if how.explainer != "auto" else choice.auto(rows.shape[1])
        error = None if found.error is None else _with_outputs(np.asarray(found.error), 2)
        expected = np.atleast_1d(found.expected).astype(np.float64)
        return additive(
            Explanation(
                list(map(str, rows.columns)),
                names if outputs > 1 else None,
                values,
                expected,
                margin,
                explainer,
                error,
                pairs,
            ),
            self._model.uri,
        )

    def _predict(self, rows: Any) -> Any:
        import numpy as np

        made = self._function.predict(rows)
        if hasattr(made, "columns"):
            self.classes = list(made.columns)
        try:
            return np.asarray(made, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise StepError(
                f"the predictions of {self._model.uri} are not numbers",
                code="bad-model",
                hint='log the model with pyfunc_predict_fn="predict_proba", or wrap it',
            ) from error


def _with_outputs(array: Any, axes: int) -> Any:
    """Return an array of so many axes, and a last one for the outputs."""
    return array if array.ndim == axes + 1 else array[..., None]
