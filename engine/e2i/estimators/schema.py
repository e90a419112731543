"""Derive a model's schema from a training table: the task, the classes and the features.

Everything is derived from the training table alone and is plain data, so that a manifest can store it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from e2i.errors import StepError
from e2i.estimators import algorithms
from e2i.estimators.algorithms import Task

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.encoding import Feature, Matrix

MAX_CATEGORIES = 10_000
"""Categories kept for one column by default, the most frequent first; the others count as missing."""
MAX_CLASSES = 500
ONE_HOT_BYTES = 1 << 30
"""Memory for the columns of one category feature in a linear model, which limits its categories too."""
FINE = 1e4
"""Ratio of size to spread from which float32, with 7 digits, cannot tell values apart well."""

FEW_VALUES = 20
"""Distinct whole numbers up to which a target may be meant as classes."""

TIMES = ("datetime64", "datetime", "date")
"""pandas' names of values that are points in time."""

ARROW_NAMES = {"float64": "double", "float32": "float", "float16": "halffloat", "object": "bool", "boolean": "bool"}
"""pandas' names of types that have other names in Arrow."""


class Schema(Struct, frozen=True):
    """Schema of a model. ``features`` are the manifest's; ``classes`` is None for regression."""

    target: str
    task: Task
    classes: tuple[Any, ...] | None
    features: tuple[Feature, ...]
    encoding: str
    warnings: tuple[str, ...] = ()
    """What the user should know of the table: categories that were dropped, features that look wrong."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(feature["name"] for feature in self.features)

    @property
    def categorical(self) -> list[int]:
        """Return the positions of the categorical features."""
        return [i for i, feature in enumerate(self.features) if feature["kind"] == "category"]

    @property
    def shape(self) -> Literal["regression", "binary", "multiclass", "ranking"]:
        if self.classes is None:
            return "ranking" if self.task == "ranking" else "regression"
        return "binary" if len(self.classes) == 2 else "multiclass"

    def encode(self, frame: pd.DataFrame) -> Any:
        """Return the frame's features in the library's form. Raises StepError."""
        from e2i.estimators.encoding import ScoringError, encode

        try:
            return encode(frame, self.features, self.encoding)
        except ScoringError as error:
            raise StepError(str(error), code="bad-features") from error

    def labels(self, frame: pd.DataFrame) -> Matrix:
        """Return the target: float64 for regression, positions in ``classes`` (int32) else. Raises StepError."""
        return labels(frame, self.target, self.classes)


def learn(
    frame: pd.DataFrame,
    target: str,
    algorithm: str,
    *,
    task: Task | None = None,
    features: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    positive: Any = None,
    max_categories: int = MAX_CATEGORIES,
) -> Schema:
    """Derive the schema from a training table. ``positive`` is the class whose probability is predicted, of two; null:
    the last in order. Raises StepError naming each unusable column and the fix.
    """
    known = algorithms.of(algorithm)
    task, classes = goal(frame, target, algorithm, task=task, positive=positive)
    encoding = known.encoding
    names = _names(frame, target, features, exclude)
    most = min(max_categories, max(2, ONE_HOT_BYTES // (8 * len(frame)))) if encoding == "one-hot" else max_categories
    described = [_feature(frame[name], encoding, most) for name in names]
    warnings = [*_dropped(frame, described), *_identifiers(frame, features), *_empty(frame, names)]
    return Schema(target, task, classes, tuple(described), encoding, tuple(warnings))


def goal(
    frame: pd.DataFrame, target: str, algorithm: str, *, task: Task | None = None, positive: Any = None
) -> tuple[Task, tuple[Any, ...] | None]:
    """Return the task and the classes, as ``learn`` derives them. Raises StepError for an unusable target."""
    if target not in frame.columns:
        raise StepError(f"the table has no target column {target!r}", code="unknown-column", hint=_available(frame))
    _refuse_missing(frame, target)
    able = algorithms.of(algorithm).tasks
    task = task or (able[0] if len(able) == 1 else infer_task(frame[target]))
    classes = _classes(frame[target], target) if task == "classification" else None
    return task, classes if positive is None else ordered(classes, positive, target)


def inputs(
    frame: pd.DataFrame,
    target: str,
    features: Sequence[str] | None,
    exclude: Sequence[str],
    max_categories: int = MAX_CATEGORIES,
) -> tuple[Feature, ...]:
    """Describe the columns of a table that a recipe prepares: also times, and texts with a value for each row.

    Raises StepError for a column that is unknown, is the target, or has values of no such type.
    """
    names = _listed(frame, target, features, exclude)
    found = [_input(frame[name], max_categories) for name in names]
    if unusable := [f"{name} ({_unusable(frame[name])})" for name, kind in zip(names, found, strict=True) if not kind]:
        raise StepError(
            f"columns that cannot be prepared: {', '.join(unusable)}",
            code="bad-features",
            hint="list them in `exclude`",
        )
    return tuple(feature for feature in found if feature)


def infer_task(target: pd.Series[Any]) -> Task:
    """Return classification for text, booleans and two distinct numbers, else regression."""
    if _kind(target) == "category" or target.nunique(dropna=True) <= 2:
        return "classification"
    return "regression"


def assumed(schema: Schema, target: Matrix, algorithm: str) -> str | None:
    """Return what to tell a user who set no task: regression was assumed for few whole numbers, which may be classes.

    ``target`` is that of the training table, as ``Schema.labels`` returns it.
    """
    import numpy as np

    if schema.task != "regression" or len(algorithms.of(algorithm).tasks) == 1:
        return None
    values = np.unique(target)
    if len(values) > FEW_VALUES or (values != np.round(values)).any():
        return None
    return (
        f"regression was assumed, but the target {schema.target!r} has only {len(values)} different whole numbers: "
        "set `task: classification` or `task: regression`"
    )


def labels(frame: pd.DataFrame, target: str, classes: Sequence[Any] | None) -> Matrix:
    """Return the target of a table: numbers for regression, else positions in ``classes``. Raises StepError."""
    import numpy as np
    import pandas as pd

    if target not in frame.columns:
        raise StepError(f"the table has no target column {target!r}", code="unknown-column", hint=_available(frame))
    _refuse_missing(frame, target)
    if classes is None:
        try:
            values: Matrix = frame[target].astype(np.float64).to_numpy()
        except (TypeError, ValueError) as error:
            raise StepError(f"target {target!r} must be numeric for regression: {error}", code="bad-target") from error
        if not np.isfinite(values).all():
            raise StepError(f"target {target!r} contains infinite values", code="bad-target", hint="remove those rows")
        return values
    positions: Matrix = pd.Index(list(classes), dtype=object).get_indexer(
        pd.Index(frame[target].astype(object), dtype=object)
    )
    if (positions < 0).any():
        strange = sorted({str(value)[:40] for value in frame[target][positions < 0]})[:5]
        raise StepError(
            f"target {target!r} has classes that the training table lacks: {', '.join(strange)}",
            code="unknown-class",
            hint=f"classes of the model: {', '.join(str(item)[:40] for item in classes[:10])}",
        )
    return positions.astype(np.int32)


def _names(frame: pd.DataFrame, target: str, features: Sequence[str] | None, exclude: Sequence[str]) -> list[str]:
    """Return the feature columns. Raises StepError when one is unknown, is the target, or is unusable."""
    names = _listed(frame, target, features, exclude)
    unusable = [f"{name} ({_unusable(frame[name])})" for name in names if _kind(frame[name]) == "other"]
    if features is None:
        unusable += [f"{name} (looks like an identifier)" for name in names if _is_identifier(frame[name])]
    if unusable:
        bare = ", ".join(item.rpartition(" (")[0] for item in unusable)
        raise StepError(
            f"columns that cannot be features: {', '.join(unusable)}",
            code="bad-features",
            hint=f"add `exclude: [{bare}]`, or list the columns to use in `features`",
        )
    return names


def _listed(frame: pd.DataFrame, target: str, features: Sequence[str] | None, exclude: Sequence[str]) -> list[str]:
    """Return the chosen columns. Raises StepError when one is unknown or is the target, and when none is left."""
    absent = [name for name in (*(features or ()), *exclude) if name not in frame.columns]
    if absent:
        raise StepError(
            f"the table has no column {', '.join(map(repr, absent))}", code="unknown-column", hint=_available(frame)
        )
    if features is not None and target in features:
        raise StepError(
            f"the target {target!r} is among the features", code="leakage", hint="remove it from `features`"
        )
    chosen = list(frame.columns if features is None else dict.fromkeys(features))
    names = [str(name) for name in chosen if name != target and name not in set(exclude)]
    if not names:
        raise StepError("no feature is left", code="bad-features", hint="check `features` and `exclude`")
    return names


def _input(column: pd.Series[Any], most: int) -> Feature | None:
    """Return a column that a recipe prepares, as the manifest describes it; None when it cannot be prepared."""
    from pandas.api import types

    name = str(column.name)
    kind = _kind(column)
    if kind == "other":
        is_time = types.is_datetime64_any_dtype(column) or types.infer_dtype(column, skipna=True) in TIMES
        return {"name": name, "kind": "time", "type": "timestamp[ns]"} if is_time else None
    if kind == "category" and _is_identifier(column):
        return {"name": name, "kind": "text", "type": "string"}
    return _feature(column, "doubles", most)


def ordered(classes: tuple[Any, ...] | None, positive: Any, target: str) -> tuple[Any, ...]:
    """Return two classes with the positive one last. Raises StepError when there are not two, or it is not one."""
    if classes is None or len(classes) != 2:
        raise StepError(
            f"`positive` needs a target of two classes; {target!r} has {len(classes or ()) or 'numbers'}",
            code="wrong-task",
            hint="remove `positive`",
        )
    if positive not in classes or isinstance(positive, bool) != isinstance(classes[0], bool):
        raise StepError(
            f"{positive!r} is not a class of the target {target!r}",
            code="unknown-class",
            hint=f"classes: {', '.join(map(repr, classes))}",
        )
    return (*(label for label in classes if label != positive), *(label for label in classes if label == positive))


def _dropped(frame: pd.DataFrame, described: Sequence[Feature]) -> list[str]:
    """Return a warning for each feature with more categories than are kept."""
    warnings = []
    for feature in described:
        if feature["kind"] == "category":
            present = frame[feature["name"]].dropna()
            kept, found = len(feature["categories"]), present.nunique()
            if kept < found:
                share = 1 - float(present.isin(feature["categories"]).mean())
                warnings.append(
                    f"feature {feature['name']!r} has {found:,} categories, and the {kept:,} most frequent are used; "
                    f"the others, {share:.1%} of the rows, count as missing (`max_categories` sets the limit)"
                )
    return warnings


def _empty(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return a warning for features without any value."""
    empty = [name for name in names if frame[name].isna().all()]
    return [f"features without any value, which no model can use: {', '.join(empty[:10])}"] if empty else []


def _identifiers(frame: pd.DataFrame, features: Sequence[str] | None) -> list[str]:
    """Return a warning for each listed feature that looks like an identifier; unlisted ones are refused."""
    return [
        f"feature {name!r} looks like an identifier: {frame[name].nunique():,} different texts in {len(frame):,} rows"
        for name in features or ()
        if _is_identifier(frame[name])
    ]


def _feature(column: pd.Series[Any], encoding: str, most: int) -> Feature:
    """Return a feature as the manifest describes it."""
    import numpy as np

    from e2i.estimators.encoding import ScoringError, encode

    name = str(column.name)
    if _kind(column) == "category":
        counts = column.value_counts()
        counts = counts[counts > 0]  # a category that no row has is no category of the model
        kept = sorted(counts.index, key=lambda value: (-counts[value], value))[:most]
        return {"name": name, "kind": "category", "type": "string", "categories": sorted(kept)}
    feature: Feature = {"name": name, "kind": "number", "type": _type(column)}
    if encoding == "doubles":
        return feature
    try:
        values = encode(column.to_frame(), [feature], "doubles")[:, 0]
    except ScoringError as error:
        raise StepError(str(error), code="bad-features") from error
    present = values[~np.isnan(values)]
    fill = float(np.median(present)) if len(present) else 0.0
    if encoding != "one-hot" and len(present) and np.abs(present).max() > FINE * present.std() > 0:
        feature["center"] = fill
        fill = 0.0
    if encoding in ("codes", "frame"):
        return feature
    feature["fill"] = fill
    if encoding == "one-hot":
        filled = np.where(np.isnan(values), fill, values)
        feature["mean"], feature["scale"] = float(filled.mean()), float(filled.std()) or 1.0
    return feature


def _type(column: pd.Series[Any]) -> str:
    """Return the Arrow type in which the model takes a feature of numbers.

    Integers that may be missing, and decimals, are floats to a model.
    """
    import numpy as np

    kind = str(column.dtype)
    return ARROW_NAMES.get(kind, kind if isinstance(column.dtype, np.dtype) else "double")


def _classes(target: pd.Series[Any], name: str) -> tuple[Any, ...]:
    if _kind(target) == "other":
        raise StepError(f"target {name!r} has {_unusable(target)}, not classes", code="bad-target")
    values = [value.item() if hasattr(value, "item") else value for value in target.unique()]
    if len(values) < 2:
        raise StepError(
            f"target {name!r} has only one class in the training table: {values[0]!r}",
            code="bad-target",
            hint="check the split, or the step that computes the target",
        )
    if len(values) > MAX_CLASSES or (_kind(target) == "number" and len(values) > len(target) / 2 > 10):
        raise StepError(
            f"target {name!r} has {len(values)} distinct values, too many for classes",
            code="bad-target",
            hint="set `task: regression`, or choose a target with fewer classes",
        )
    return tuple(sorted(values))


def _refuse_missing(frame: pd.DataFrame, target: str) -> None:
    missing = int(frame[target].isna().sum())
    if not len(frame):
        raise StepError("the table has no rows", code="no-rows", hint="check the steps that produce it")
    if missing:
        raise StepError(
            f"target {target!r} is missing in {missing} of {len(frame)} rows",
            code="bad-target",
            hint="remove those rows with data.select before the split",
        )


def _kind(column: pd.Series[Any]) -> Literal["number", "category", "other"]:
    """Return how a model can use a column, from its type and, for Python objects, from its values."""
    from pandas.api import types

    if isinstance(column.dtype, types.CategoricalDtype):
        return _kind(column.cat.categories.to_series())
    if types.is_bool_dtype(column.dtype) or (
        types.is_numeric_dtype(column.dtype) and not types.is_complex_dtype(column.dtype)
    ):
        return "number"
    match types.infer_dtype(column, skipna=True):
        case "string":
            return "category"
        case "boolean" | "decimal" | "floating" | "integer" | "mixed-integer-float" | "empty":
            return "number"
        case _:
            return "other"


def _unusable(column: pd.Series[Any]) -> str:
    from pandas.api import types

    return str(column.dtype) if column.dtype != object else str(types.infer_dtype(column, skipna=True))


def _is_identifier(column: pd.Series[Any]) -> bool:
    """Return True for text with many rare values: it identifies rows and predicts nothing for new ones."""
    if _kind(column) != "category":
        return False
    distinct = column.nunique()
    return distinct > max(100, len(column) / 5)


def _available(frame: pd.DataFrame) -> str:
    return f"columns: {', '.join(str(name) for name in frame.columns[:40])}"
