"""Compute SHAP values, and check that they add up to the margin. In: a loaded model and rows. Out: SHAP values.

The shape is the same for every library. XGBoost, LightGBM and CatBoost compute exact values themselves; forests and
linear models use shap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import StepError

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix, Scorer

_FIRST_RESULT = "pass the first result of compute_shap_values"
TOLERANCE = 1e-4
"""Largest allowed gap between sum and margin, relative to the largest margin or 1; float32 sums leave about 1e-6."""


class Explanation(Struct, frozen=True, eq=False):
    """``values`` (n, p, k), ``expected`` (k,), ``margin`` (n, k). k is 1 except for more than two classes."""

    features: list[str]
    classes: list[Any] | None
    values: Matrix
    expected: Matrix
    margin: Matrix

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


def explain(scorer: Scorer, frame: pd.DataFrame, background: pd.DataFrame, *, threads: int) -> Explanation:
    """Return SHAP values of every row of ``frame``. ``background`` is used for linear models only.

    Raises StepError when a table does not match the model, or when the values do not add up.
    """
    import numpy as np

    from e2i.estimators.scoring import ScoringError

    manifest = scorer.manifest
    try:
        encoded = scorer.encode(frame)
        if manifest["encoding"] == "one-hot":
            values, expected = _linear(scorer, encoded, scorer.encode(background))
        else:
            values, expected = _EXPLAINERS[manifest["library"]](scorer, encoded, threads)
    except ScoringError as error:
        raise StepError(str(error), code="bad-features") from error
    values, expected = values * scorer.scale, expected * scorer.scale + scorer.center
    margin = scorer.output(encoded, margin=True)
    if values.ndim == 2:
        values, margin = values[:, :, None], margin[:, None]
    if scorer.binary and values.shape[2] == 2:  # shap returns both classes of a forest; the second is the positive
        values, expected, margin = values[:, :, 1:], expected[1:], margin.reshape(-1, 1)
    classes = None if manifest["classes"] is None or scorer.binary else list(manifest["classes"])
    return additive(
        Explanation(scorer.features, classes, values, np.atleast_1d(expected), margin), manifest["algorithm"]
    )


def additive(found: Explanation, algorithm: str) -> Explanation:
    """Return the explanation. Raises StepError when its values do not add up to the margin."""
    import numpy as np

    gap = float(np.abs(found.values.sum(axis=1) + found.expected - found.margin).max())
    allowed = TOLERANCE * max(1.0, float(np.abs(found.margin).max()))
    if not gap <= allowed:
        raise StepError(
            f"the SHAP values of this {algorithm} model differ from its margin by {gap:.3g}, more than {allowed:.3g}",
            code="not-additive",
            hint="do not use them; this is a defect of the library's version, please report it with the model",
        )
    return found


def _xgboost(scorer: Scorer, encoded: Any, threads: int) -> tuple[Matrix, Matrix]:
    """Return (n, p) or (n, p, k), and the bias, which XGBoost returns as a last column."""
    import xgboost

    booster = scorer.native
    rows = xgboost.DMatrix(
        encoded,
        feature_names=booster.feature_names,
        feature_types=booster.feature_types,
        enable_categorical=True,
        nthread=threads,
    )
    booster.set_param({"nthread": threads})
    return _split(booster.predict(rows, pred_contribs=True).astype("float64"))


def _lightgbm(scorer: Scorer, encoded: Any, threads: int) -> tuple[Matrix, Matrix]:
    flat = scorer.native.predict(encoded, pred_contrib=True, num_threads=threads)
    columns = len(scorer.features) + 1
    return _split(flat.reshape(len(flat), -1, columns) if flat.shape[1] > columns else flat)


def _catboost(scorer: Scorer, encoded: Any, threads: int) -> tuple[Matrix, Matrix]:
    import catboost

    categorical = [i for i, feature in enumerate(scorer.manifest["features"]) if feature["kind"] == "category"]
    pool = catboost.Pool(encoded, cat_features=categorical, thread_count=threads)
    return _split(scorer.native.get_feature_importance(pool, type="ShapValues", thread_count=threads))


def _forest(scorer: Scorer, encoded: Any, threads: int) -> tuple[Matrix, Matrix]:
    """Return exact values along the trees' own paths, in probabilities for classes."""
    import numpy as np
    import shap

    explainer = shap.TreeExplainer(scorer.native)
    return np.asarray(explainer.shap_values(encoded, check_additivity=False)), np.atleast_1d(explainer.expected_value)


def _linear(scorer: Scorer, encoded: Matrix, background: Matrix) -> tuple[Matrix, Matrix]:
    """Return exact values against all background rows; the columns of one category are summed to its feature."""
    import numpy as np
    import shap

    if len(background) < 2:
        raise StepError(
            "a linear model needs background rows other than the explained row: every value would be 0",
            code="no-background",
            hint="set `background`, such as the training table",
        )
    masker = shap.maskers.Independent(background, max_samples=len(background))
    explainer = shap.LinearExplainer(scorer.native, masker)
    columns = np.asarray(explainer.shap_values(encoded))
    widths = [len(feature.get("categories", (0,))) for feature in scorer.manifest["features"]]
    starts = np.cumsum([0, *widths[:-1]])
    return np.add.reduceat(columns, starts, axis=1), np.atleast_1d(explainer.expected_value)


def _split(contributions: Matrix) -> tuple[Matrix, Matrix]:
    """Split (n, p + 1) or (n, k, p + 1), the bias last, into values (n, p) or (n, p, k), and the bias of each class."""
    import numpy as np

    values, bias = contributions[..., :-1], contributions[0, ..., -1]
    return (values if values.ndim == 2 else values.transpose(0, 2, 1)), np.atleast_1d(bias)


_EXPLAINERS: Mapping[str, Callable[[Scorer, Any, int], tuple[Matrix, Matrix]]] = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "catboost": _catboost,
    "sklearn": _forest,
}
