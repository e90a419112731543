"""SHAP values in one shape for every library: importances, and the checks that values and interactions add up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from e2i.errors import StepError
from e2i.estimators import algorithms

if TYPE_CHECKING:
    from e2i.estimators.scoring import Matrix

ExplainerName = Literal["auto", "tree", "linear", "permutation", "kernel", "exact"]

_FIRST_RESULT = "pass the first result of compute_shap_values"
TOLERANCE = {"float32": 1e-4, "float64": 1e-6}
"""Largest allowed gap between sum and margin, relative to the largest margin or 1, by the precision of the sums.

Those in float32 leave about 1e-6, those in float64 about 1e-12. Explainers that ask for predictions have the first.
"""


INTERACTIONS_TOLERANCE = 1e-3
"""Largest allowed gap between summed interactions and values, relative to the largest value or 1."""


class How(Struct, frozen=True):
    """How rows are explained. ``background_rows`` and ``seed`` are for explainers that ask for predictions.

    The first ``interactions`` rows also get interaction values.
    """

    explainer: ExplainerName = "auto"
    background_rows: int = 100
    seed: int = 0
    threads: int = 1
    interactions: int = 0


class Explanation(Struct, frozen=True, eq=False):
    """``values`` (n, p, k), ``expected`` (k,), ``margin`` (n, k). k is 1 except for more than two classes.

    ``error`` (n, p, k) are standard errors of values that are estimated. ``interactions`` (m, p, p, k) are of the first
    m rows; they sum to the values over either axis of features.
    """

    features: list[str]
    classes: list[Any] | None
    values: Matrix
    expected: Matrix
    margin: Matrix
    explainer: str = ""
    error: Matrix | None = None
    interactions: Matrix | None = None

    @property
    def importance(self) -> dict[str, float]:
        """Return each feature's share of the mean absolute value over rows and classes, largest first."""
        return importance(self.values, self.features)


def importance(values: Any, names: Sequence[str]) -> dict[str, float]:
    """Return each feature's share of the mean absolute value over rows and classes, largest first; they sum to 1.

    ``values`` have the shape (rows, features) or (rows, features, classes). Raises StepError for another shape, other
    names than features, and values that are no numbers. Values that are all 0 give equal shares.
    """
    import numpy as np

    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise StepError(
            f"the SHAP values are no array of numbers: {error}", code="bad-values", hint=_FIRST_RESULT
        ) from error
    if found.ndim not in (2, 3) or not found.size:
        raise StepError(
            f"the SHAP values have the shape {found.shape}, not (rows, features) or (rows, features, classes)",
            code="bad-values",
            hint=_FIRST_RESULT,
        )
    listed = [str(name) for name in names]
    if len(listed) != found.shape[1] or len(set(listed)) != len(listed):
        raise StepError(
            f"the SHAP values have {found.shape[1]} features, and there are {len(set(listed))} different names",
            code="bad-values",
            hint="pass one name for each column of `X`: X.columns",
        )
    if not np.isfinite(found).all():
        raise StepError("the SHAP values hold values that are no numbers", code="bad-values", hint=_FIRST_RESULT)
    sizes = np.abs(found).mean(axis=0 if found.ndim == 2 else (0, 2))
    shares = sizes / sizes.sum() if sizes.any() else np.full(len(listed), 1.0 / len(listed))
    ranked = sorted(zip(listed, shares.tolist(), strict=True), key=lambda item: (-item[1], item[0]))
    return dict(ranked)


def additive(found: Explanation, algorithm: str) -> Explanation:
    """Return the explanation. Raises StepError when its values do not add up to the margin."""
    import numpy as np

    gap = float(np.abs(found.values.sum(axis=1) + found.expected - found.margin).max())
    is_asked = found.explainer not in ("", "tree", "linear")
    allowed = TOLERANCE["float32" if is_asked else algorithms.precision(algorithm)] * max(
        1.0, float(np.abs(found.margin).max())
    )
    if not gap <= allowed:
        raise StepError(
            f"the SHAP values of this {algorithm} model differ from its margin by {gap:.3g}, more than {allowed:.3g}",
            code="not-additive",
            hint="do not use them; this is a defect of the library's version, please report it with the model",
        )
    return found


def summing(interactions: Matrix, values: Matrix) -> Matrix:
    """Return interactions (m, p, p, k). Raises StepError when they do not sum to the values (n, p, k) of their rows."""
    import numpy as np

    expected = values[: len(interactions)]
    gap = float(np.abs(interactions.sum(axis=2) - expected).max(initial=0.0))
    allowed = INTERACTIONS_TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0.0)))
    if not gap <= allowed:
        raise StepError(
            f"the interactions of this model differ from its SHAP values by {gap:.3g}, more than {allowed:.3g}",
            code="not-additive",
            hint="do not use them; features of categories have no interactions in some libraries",
        )
    return interactions
