"""Explain any live model by its predictions alone. In: a model, rows and background rows. Out: SHAP values.

Unless another explainer is asked for, few features have the exact Shapley values against the background, and more
features the mean over permutations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from e2i.errors import StepError
from e2i.tools.shap import asked, choice
from e2i.tools.shap.native import Raw
from e2i.tools.shap.values import How


def explain(model: Any, table: Any, background: Any, how: How) -> Raw:
    """Return the SHAP values of the model's probabilities, or of its decision function or prediction.

    ``how.background_rows`` of the background are chosen by the seed. Raises StepError when the only background is the
    explained row.
    """
    import numpy as np

    matrix, others, outputs = _asked_for(model, table, background, how)
    explainer = choice.auto(matrix.shape[1]) if how.explainer not in choice.ASKED else how.explainer
    found = asked.values(outputs, matrix, others, explainer, how.seed)
    return Raw(found.values, np.atleast_1d(found.expected), outputs(matrix), found.error)


def interactions(model: Any, table: Any, background: Any, how: How) -> Any:
    """Return the exact interactions (n, p, p) or (n, p, p, k) of the model's predictions, for few features."""
    matrix, others, outputs = _asked_for(model, table, background, how)
    return asked.interactions(outputs, matrix, others)


def _asked_for(model: Any, table: Any, background: Any, how: How) -> tuple[Any, Any, Callable[[Any], Any]]:
    """Return rows and background as numbers, and the function of such rows that is explained."""
    import numpy as np

    if len(background) < 2:
        raise StepError(
            "this model is explained against other rows, and `X` has one row: every value would be 0",
            code="no-background",
            hint="pass more rows, and explain one of them with explain_instance",
        )
    coding = _Coding(background)
    matrix, others = coding.encode(table), coding.encode(background)
    random = np.random.default_rng(how.seed)
    if len(others) > how.background_rows:
        others = others[np.sort(random.choice(len(others), how.background_rows, replace=False))]
    predict = _output(model, table)

    def outputs(mixed: Any) -> Any:
        return predict(coding.decode(mixed))

    return matrix, others, outputs


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

    for method in ("predict_proba", "decision_function", "predict", "effect"):
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
