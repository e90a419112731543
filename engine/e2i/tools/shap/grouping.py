"""Follow features through a pipeline of scikit-learn. In: a pipeline and rows. Out: encoded rows, and where each of
their columns comes from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from e2i.estimators import arrays


def first(model: Any) -> Any:
    """Return what takes the table: the first step of a pipeline, or the model."""
    from e2i.tools.shap.hints import unwrapped

    model = unwrapped(model)
    return model[0] if hasattr(model, "named_steps") and hasattr(model[0], "n_features_in_") else model


def split(model: Any, table: Any) -> tuple[Any, Any, Sequence[int] | None]:
    """Return the last estimator, the rows as it takes them, and the feature of each of their columns.

    Without a pipeline these are the model, the table and its features. None: a column is made of several features, so
    only the pipeline as a whole can be explained.
    """
    if not hasattr(model, "named_steps"):
        return model, table, range(table.shape[1])
    from e2i.tools.shap.hints import unwrapped

    last = unwrapped(model.steps[-1][1])
    if len(model.steps) == 1:
        return last, table, range(table.shape[1])
    before = model[:-1]
    sources = _sources(before, table.shape[1])
    if sources is None:
        return last, table, None
    inner = arrays.features(before.transform(table), "X")
    return (last, inner, sources) if inner.shape[1] == len(sources) else (last, table, None)


def summed(values: Any, sources: Sequence[int], features: int, axis: int) -> Any:
    """Return the values with the columns of one feature added up, along ``axis``."""
    import numpy as np

    if list(sources) == list(range(features)):
        return values
    moved = np.moveaxis(np.asarray(values), axis, 0)
    found = np.zeros((features, *moved.shape[1:]))
    np.add.at(found, list(sources), moved)
    return np.moveaxis(found, 0, axis)


def _sources(step: Any, width: int) -> list[int] | None:
    """Return the input column that each output column of a fitted transformer is made of; None: of several."""
    from sklearn.base import OneToOneFeatureMixin
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_selection import SelectorMixin
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

    if step is None or step == "passthrough":
        return list(range(width))
    if isinstance(step, Pipeline):
        return _through(step, width)
    if isinstance(step, ColumnTransformer):
        return _across(step)
    if isinstance(step, OneHotEncoder):
        return [column for column, count in enumerate(step._n_features_outs) for _ in range(count)]
    if isinstance(step, SelectorMixin):
        return [int(column) for column in step.get_support(indices=True)]
    plain = (
        isinstance(step, OneToOneFeatureMixin)
        or (isinstance(step, SimpleImputer) and not step.add_indicator)
        or (isinstance(step, FunctionTransformer) and step.func is None)
    )
    return list(range(width)) if plain else None


def _through(pipeline: Any, width: int) -> list[int] | None:
    found = list(range(width))
    for _, step in pipeline.steps:
        made = _sources(step, len(found))
        if made is None:
            return None
        found = [found[column] for column in made]
    return found


def _across(union: Any) -> list[int] | None:
    """Return the sources of a ColumnTransformer, in the order of its output."""
    placed: dict[int, int] = {}
    for name, step, _ in union.transformers_:
        columns = list(union._transformer_to_input_indices.get(name, ()))
        if (isinstance(step, str) and step == "drop") or not columns:
            continue
        made = _sources(step, len(columns))
        where = union.output_indices_[name]
        if made is None or len(made) != where.stop - where.start:
            return None
        placed |= {where.start + number: int(columns[column]) for number, column in enumerate(made)}
    return [placed[number] for number in sorted(placed)]
