"""Fit the operations that make numbers of values and texts. In: columns, and the target. Out: fitted steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2i.estimators.one_thread import one_thread
from e2i.estimators.prepare_numbers import Fitting
from e2i.estimators.recipes import CountEncode, Hash, OneHot, Operation, TargetEncode, Tfidf

if TYPE_CHECKING:
    from e2i.estimators.preparation import Target
    from e2i.estimators.preparing import Columns, ColumnState, Step
    from e2i.estimators.scoring import Matrix

Value = str | float | None


def _one_hot(operation: OneHot, columns: Columns, names: list[str], target: Target) -> tuple[Step, Columns]:
    from sklearn.preprocessing import OneHotEncoder

    states: list[ColumnState] = []
    for name in names:
        encoder = OneHotEncoder(
            min_frequency=operation.min_frequency, handle_unknown="infrequent_if_exist", sparse_output=False
        )
        encoder.fit(columns[name][:, None])
        values = _values(encoder.categories_[0])
        rare = None
        if operation.min_frequency is not None:
            rare = encoder.infrequent_categories_[0]
        scarce = set() if rare is None else set(_values(rare))
        kept = [value for value in values if value not in scarce]
        place = {value: number for number, value in enumerate(kept)}
        made = [f"{name}_{_shown(value)}" for value in kept] + ([f"{name}_other"] if scarce else [])
        if len(set(made)) < len(made):
            raise ValueError(f"columns of values of {name!r} would have the same name")
        states.append(
            {
                "name": name,
                "values": values,
                "places": [place.get(value, len(kept)) for value in values],
                "other": len(kept) if scarce and operation.unknown == "other" else None,
                "refuse": operation.unknown == "fail",
                "names": made,
            }
        )
    return {"op": "one_hot", "columns": states}, {}


def _ordinal(operation: Operation, columns: Columns, names: list[str], target: Target) -> tuple[Step, Columns]:
    states: list[ColumnState] = [
        {"name": name, "values": [value for value in _distinct(columns[name]) if value is not None]} for name in names
    ]
    return {"op": "ordinal", "columns": states}, {}


def _count_encode(operation: CountEncode, columns: Columns, names: list[str], target: Target) -> tuple[Step, Columns]:
    import numpy as np

    from e2i.estimators.preparing import positions

    states: list[ColumnState] = []
    for name in names:
        values = _distinct(columns[name])
        counts = np.bincount(positions(columns[name], values), minlength=len(values)).astype(np.float64)
        encodings = counts / len(columns[name]) if operation.share else counts
        states.append(
            {"name": name, "values": values, "encodings": [encodings.tolist()], "means": [0.0], "names": [name]}
        )
    return {"op": "count_encode", "columns": states}, {}


def _target_encode(operation: TargetEncode, columns: Columns, names: list[str], target: Target) -> tuple[Step, Columns]:
    """Fit the means of all rows, which are for other rows, and encode the training rows by those of other folds.

    scikit-learn is given the values' positions, which it encodes alike: it would look each text up in each fold.
    """
    import numpy as np
    from sklearn.preprocessing import TargetEncoder

    from e2i.estimators.preparing import positions

    classes = target.classes
    kind = "continuous" if classes is None else "binary" if len(classes) == 2 else "multiclass"
    folds = _folds(operation.folds, target)
    states: list[ColumnState] = []
    training: Columns = {}
    for name in names:
        values = _distinct(columns[name])
        encoder = TargetEncoder(target_type=kind, smooth=operation.smooth, cv=folds)
        matrix = encoder.fit_transform(positions(columns[name], values)[:, None], target.labels)
        made = [name] if kind != "multiclass" else [f"{name}_{label}" for label in classes or ()]
        states.append(
            {
                "name": name,
                "values": values,
                "encodings": [numbers.tolist() for numbers in encoder.encodings_],
                "means": [float(mean) for mean in np.atleast_1d(encoder.target_mean_)],
                "names": made,
            }
        )
        training |= {own: matrix[:, place] for place, own in enumerate(made)}
    return {"op": "target_encode", "columns": states}, training


def _folds(number: int, target: Target) -> list[tuple[Matrix, Matrix]]:
    """Return folds of the training rows. Rows of one group are in one fold."""
    import numpy as np
    from sklearn import model_selection

    rows, labels, groups = np.empty((len(target.labels), 0)), target.labels, target.groups
    number = min(number, len(rows) if groups is None else len(np.unique(groups)))
    if number < 2:
        raise ValueError("cross-fitting needs two rows, of two groups")
    is_rare = target.classes is not None and int(np.bincount(labels).min()) < number
    stratified = target.classes is not None and not is_rare  # a class with fewer rows than folds cannot be in each
    if groups is not None:
        kind = model_selection.StratifiedGroupKFold if stratified else model_selection.GroupKFold
    else:
        kind = model_selection.StratifiedKFold if stratified else model_selection.KFold
    return list(kind(number, shuffle=True, random_state=target.seed).split(rows, labels, groups))


def _hash(operation: Hash, columns: Columns, names: list[str], target: Target) -> tuple[Step, Columns]:
    states: list[ColumnState] = [
        {"name": name, "names": [f"{name}_hash_{number}" for number in range(operation.size)]} for name in names
    ]
    return {"op": "hash", "columns": states}, {}


def _tfidf(operation: Tfidf, columns: Columns, names: list[str], target: Target) -> tuple[Step, Columns]:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    from e2i.estimators.preparing import WORD, is_missing

    states: list[ColumnState] = []
    for name in names:
        vectorizer = TfidfVectorizer(max_features=operation.words)
        texts = [text or "" for text in columns[name]]
        if not any(map(WORD.search, texts)):
            raise ValueError(f"{name!r} has no word of two letters or more; use one_hot or target_encode")
        weights = vectorizer.fit_transform(texts)
        words = vectorizer.get_feature_names_out().tolist()
        state: ColumnState = {"name": name, "words": words, "weights": vectorizer.idf_.tolist()}
        if operation.components is None or operation.components >= min(weights.shape):
            state["names"] = [f"{name}_{word}" for word in words]
        else:
            present = weights[~is_missing(columns[name])]
            with one_thread():
                found = TruncatedSVD(operation.components, random_state=target.seed).fit(present)
            state["components"] = found.components_.tolist()
            state["names"] = [f"{name}_svd_{number}" for number in range(operation.components)]
        states.append(state)
    return {"op": "tfidf", "columns": states}, {}


def _distinct(values: Matrix) -> list[Value]:
    """Return the different values in order, and null at the end for missing ones."""
    import numpy as np

    from e2i.estimators.preparing import is_missing

    missing = is_missing(values)
    present: list[Value] = sorted(set(values[~missing].tolist()))
    return [*present, None] if np.any(missing) else present


def _values(found: Matrix) -> list[Value]:
    """Return scikit-learn's categories as plain values, null for a missing one."""
    return [None if value is None or value != value else value for value in found.tolist()]


def _shown(value: Value) -> str:
    """Return a value as a part of a column's name: 3.0 is 3."""
    if value is None:
        return "missing"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


FITTING: dict[str, Fitting] = {
    "one_hot": _one_hot,
    "ordinal": _ordinal,
    "target_encode": _target_encode,
    "count_encode": _count_encode,
    "hash": _hash,
    "tfidf": _tfidf,
}
