"""Explain any model by its predictions alone. In: a model, rows and background rows. Out: SHAP values.

Few features: the exact Shapley values against the background. More: the mean over permutations of the features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from e2i.errors import StepError
from e2i.tools.shap.native import Raw

EXACT = 8
"""Features up to which every combination is tried: 256 for each row."""
PERMUTATIONS = 10


def explain(model: Any, table: Any, background: Any, rows: int, seed: int) -> Raw:
    """Return the SHAP values of the model's probabilities, or of its decision function or prediction.

    ``rows`` of the background are chosen by the seed. Raises StepError when the only background is the explained row.
    """
    import numpy as np
    import shap

    if len(background) < 2:
        raise StepError(
            "this model is explained against other rows, and `X` has one row: every value would be 0",
            code="no-background",
            hint="pass more rows, and explain one of them with explain_instance",
        )
    coding = _Coding(background)
    matrix, others = coding.encode(table), coding.encode(background)
    random = np.random.default_rng(seed)
    if len(others) > rows:
        others = others[np.sort(random.choice(len(others), rows, replace=False))]
    predict = _output(model, table)

    def outputs(mixed: Any) -> Any:
        return predict(coding.decode(mixed))

    masker = shap.maskers.Independent(others, max_samples=len(others))
    state = np.random.get_state()
    try:
        if matrix.shape[1] <= EXACT:
            found = shap.ExactExplainer(outputs, masker)(matrix, silent=True)
        else:
            explainer = shap.PermutationExplainer(outputs, masker, seed=seed)
            found = explainer(matrix, max_evals=PERMUTATIONS * (2 * matrix.shape[1] + 1), silent=True)
    finally:
        np.random.set_state(state)
    return Raw(np.asarray(found.values), np.atleast_1d(outputs(others).mean(axis=0)), outputs(matrix))


class _Coding:
    """Writes a table as numbers and back: a text becomes its position among the values of its column."""

    def __init__(self, table: Any) -> None:
        self._kinds = dict(table.dtypes.items()) if hasattr(table, "columns") else None
        self._values: dict[Any, Any] = {}
        self._table = table

    def encode(self, table: Any) -> Any:
        import numpy as np
        import pandas as pd

        if self._kinds is None:
            return np.asarray(table)
        columns = []
        for name, kind in self._kinds.items():
            column = table[name]
            if not _is_number(kind):
                known = self._values.setdefault(name, pd.Index(self._table[name].astype(object).unique()))
                fresh = pd.Index(column.astype(object).unique()).difference(known, sort=False)
                self._values[name] = known = known.append(fresh)
                columns.append(known.get_indexer(column.astype(object)).astype(np.float64))
            else:
                columns.append(column.to_numpy(dtype=np.float64, na_value=np.nan))
        return np.column_stack(columns)

    def decode(self, matrix: Any) -> Any:
        import numpy as np
        import pandas as pd

        if self._kinds is None:
            return matrix
        columns = {}
        for place, (name, kind) in enumerate(self._kinds.items()):
            values = matrix[:, place]
            if name in self._values:
                values = self._values[name].to_numpy()[values.astype(np.int64)]
            column = pd.Series(values)
            columns[name] = column.astype(kind) if name in self._values or not np.isnan(values).any() else column
        return pd.DataFrame(columns)


def _is_number(kind: Any) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind))


def _output(model: Any, table: Any) -> Callable[[Any], Any]:
    """Return the function that is explained, of the shape (rows,) or (rows, classes)."""
    import numpy as np

    from e2i.tools.shap.native import as_fitted

    for method in ("predict_proba", "decision_function", "predict"):
        function = getattr(model, method, None)
        if function is not None:
            break
    else:
        if not callable(model):
            raise StepError(
                f"a {type(model).__name__} cannot be explained: it has no predictions",
                code="bad-model",
                hint="pass a fitted model, or a function of rows",
            )
        function = model

    def predict(rows: Any) -> Any:
        found = np.asarray(function(as_fitted(model, rows)), dtype=np.float64)
        if found.ndim == 2 and found.shape[1] == 1:
            return found[:, 0]
        is_positive = found.ndim == 2 and found.shape[1] == 2 and np.allclose(found.sum(axis=1), 1.0, atol=1e-6)
        return found[:, 1] if is_positive else found

    return predict
