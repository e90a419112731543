"""Explain ensembles by their predictions. In: an ensemble and rows of a table. Out: SHAP values in its own units.

Its members encode columns in different ways, so mixed rows are tables. Values are of probabilities before calibration,
or of numbers: the margins of different libraries have no common scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from e2i.errors import StepError
from e2i.tools.shap import agnostic
from e2i.tools.shap.values import Explanation, How, additive, summing

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix, Scorer


def explain(scorer: Scorer, frame: pd.DataFrame, background: pd.DataFrame, how: How) -> Explanation:
    """Return SHAP values of every row of ``frame``. Raises StepError when a table does not match the ensemble."""
    import numpy as np

    from e2i.estimators.scoring import ScoringError

    names = scorer.features

    def predict(rows: pd.DataFrame) -> Matrix:
        return scorer.output(scorer.encode(rows, strict=False), margin=True)

    try:
        scorer.encode(frame)
        found = agnostic.explain(predict, frame[names], background[names], how)
        few = frame[names].head(how.interactions)
        pairs = agnostic.interactions(predict, few, background[names], how) if how.interactions else None
    except ScoringError as error:
        raise StepError(str(error), code="bad-features") from error
    values, deviation = _with_classes(found.values, 2), found.error
    classes = scorer.manifest["classes"]
    explanation = Explanation(
        names,
        None if classes is None or scorer.binary else list(classes),
        values,
        np.atleast_1d(found.expected),
        found.margin.reshape(len(values), -1),
        how.explainer,
        None if deviation is None else _with_classes(deviation, 2),
        None if pairs is None else summing(_with_classes(pairs, 3), values),
    )
    return additive(explanation, scorer.manifest["algorithm"])


def _with_classes(array: Any, axes: int) -> Any:
    """Return an array of so many axes, and a last one for the classes."""
    return array if array.ndim == axes + 1 else array[..., None]
