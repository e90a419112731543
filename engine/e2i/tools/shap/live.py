"""Explain live models. In: a fitted model of any library and rows. Out: SHAP values in one shape.

The explainer fits the model: the library's own routine, the trees of scikit-learn, the coefficients of a linear model.
Any other model is asked for predictions of rows that mix the explained row with background rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from e2i.errors import StepError
from e2i.estimators import arrays
from e2i.estimators.scoring import Scorer, ScoringError
from e2i.tools.shap import agnostic, choice, grouping, hints, native, usable
from e2i.tools.shap.native import Raw
from e2i.tools.shap.scorers import explain as explain_scorer
from e2i.tools.shap.values import Explanation, How, additive, summing


def explain(model: Any, table: Any, how: How, *, hint: str | None = None, instance: int | None = None) -> Explanation:
    """Return SHAP values of every row of ``table``, or of the row ``instance`` alone; the others are its background.

    Raises StepError when table and model do not match, when ``hint`` is another algorithm, and when the values do not
    add up to the model's margin.
    """
    usable.check(model)
    rows = arrays.features(table, "X")
    chosen = rows if instance is None else _one(rows, instance)
    if hint is not None:
        hints.check(hint, model)
    if isinstance(model, Scorer):
        return _of_scorer(model, chosen, rows, how)
    with usable.refusals(model):
        return _of_live(model, chosen, rows, how)


def _of_live(model: Any, chosen: Any, rows: Any, how: How) -> Explanation:
    fitted = native.feature_names(grouping.first(model))
    _check_columns(rows, fitted, native.feature_count(grouping.first(model)))
    found = _explained(hints.unwrapped(model), chosen, rows, how)
    names = arrays.names(rows, fitted)
    return additive(_shaped(model, names, found), type(hints.final(model)).__name__)


def interactions(model: Any, table: Any, how: How) -> Any:
    """Return interaction values (rows, features, features), of more classes (rows, features, features, classes).

    They sum to the SHAP values over either axis of features. Raises StepError for a model without trees, unless the
    explainer is ``exact``.
    """
    usable.check(model)
    rows = arrays.features(table, "X")
    if isinstance(model, Scorer):
        found = _of_scorer(model, rows, rows, replace(how, interactions=len(rows))).interactions
        assert found is not None
        return found[..., 0] if found.shape[3] == 1 else found
    with usable.refusals(model):
        return _interactions(model, rows, how)


def _interactions(model: Any, rows: Any, how: How) -> Any:
    whole = hints.unwrapped(model)
    _check_columns(rows, native.feature_names(grouping.first(model)), native.feature_count(grouping.first(model)))
    if how.explainer == "exact":
        return agnostic.interactions(whole, rows, rows, how)
    last, inner, sources = grouping.split(whole, rows)
    found = None if sources is None else native.interactions(last, inner)
    if found is None or sources is None:
        raise StepError(
            f"{type(hints.final(model)).__name__} has no trees, and interactions are computed for trees only",
            code="no-interactions",
            hint='use compute_shap_values, a model of trees, or explainer="exact" for few features',
        )
    summed: Any = grouping.summed(grouping.summed(found, sources, rows.shape[1], 1), sources, rows.shape[1], 2)
    expected = _shaped(model, [], _explained(whole, rows, rows, how)).values
    of_classes = summed if summed.ndim == 4 else summed[..., None]
    if of_classes[:, :, 0].shape != expected.shape:
        raise StepError(
            "shap does not tell the classes of this booster apart",
            code="no-interactions",
            hint="pass the library's classifier instead of its booster",
        )
    summing(of_classes, expected)
    return summed


def _explained(model: Any, chosen: Any, background: Any, how: How) -> Raw:
    """Return SHAP values in the features of the table, also of a pipeline that encodes them."""
    if how.explainer in choice.ASKED:
        return agnostic.explain(model, chosen, background, how)
    last, inner, sources = grouping.split(model, chosen)
    if how.explainer not in ("auto", native.kind(last) if sources is not None else None):
        raise StepError(
            f"the explainer `{how.explainer}` does not suit {type(hints.final(model)).__name__}",
            code="wrong-explainer",
            hint="leave it out; `permutation`, `kernel` and `exact` suit every model",
        )
    if sources is not None:
        others = inner if chosen is background else grouping.split(model, background)[1]
        found = native.explain(last, inner, others)
        if found is not None:
            values = grouping.summed(found.values, sources, chosen.shape[1], 1)
            return Raw(values, found.expected, found.margin)
    return agnostic.explain(model, chosen, background, how)


def _of_scorer(model: Scorer, chosen: Any, rows: Any, how: How) -> Explanation:
    import pandas as pd

    if not isinstance(rows, pd.DataFrame):
        rows, chosen = (pd.DataFrame(part, columns=model.features[: part.shape[1]]) for part in (rows, chosen))
    try:
        return explain_scorer(model, chosen, rows, how)
    except ScoringError as error:
        raise StepError(str(error), code="bad-features") from error


def _shaped(model: Any, names: Sequence[str], found: Raw) -> Explanation:
    """Return the values with an axis of outputs; of two classes the positive one alone."""
    import numpy as np

    values, expected, margin = np.asarray(found.values), np.atleast_1d(found.expected), np.asarray(found.margin)
    if values.ndim == 2:
        values, margin = values[:, :, None], margin.reshape(len(values), -1)
    classes = getattr(hints.final(model), "classes_", None)
    if values.shape[2] == 2 and (classes is None or len(classes) == 2) and not native.is_regressor(model):
        values, expected, margin = values[:, :, 1:], expected[1:], margin[:, 1:]
    several = values.shape[2] > 1
    labels = list(classes) if several and classes is not None and len(classes) == values.shape[2] else None
    if several and labels is None:
        labels = list(range(values.shape[2]))
    return Explanation(list(names), labels, values, expected.astype(np.float64), margin)


def _one(rows: Any, instance: int) -> Any:
    if isinstance(instance, bool) or not hasattr(instance, "__index__"):
        raise StepError(
            f"`instance_idx` is {instance!r:.80}, not the number of a row",
            code="bad-row",
            hint="0 is the first row of `X`",
        )
    place = instance.__index__()
    if not -len(rows) <= place < len(rows):
        raise StepError(
            f"`instance_idx` is {place}, and `X` has {len(rows):,} rows", code="bad-row", hint="0 is the first row"
        )
    place %= len(rows)
    return rows.iloc[[place]] if hasattr(rows, "iloc") else rows[[place]]


def _check_columns(rows: Any, fitted: Sequence[str] | None, count: int | None) -> None:
    if count is not None and rows.shape[1] != count:
        raise StepError(
            f"`X` has {rows.shape[1]} features, and the model was fitted with {count}",
            code="bad-features",
            hint="pass the columns that the model was fitted with, in their order",
        )
    arrays.same_columns(rows, "X", fitted, "the rows that the model was fitted with")
