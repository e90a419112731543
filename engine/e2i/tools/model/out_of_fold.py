"""Read predictions out of fold of several models. In: tables of model.cross_validate. Out: the same rows of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from e2i.catalog.artifacts import Model, Table
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators.ensembles import PARTS

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix

KEY = ["split", "row"]
"""Columns that name a prediction: a row is tested once in each repeat of the folds."""
_HINT = "pass model.cross_validate steps of the same table, folds and target"


class Predicted(Protocol):
    """A model with its predictions out of fold."""

    @property
    def model(self) -> Model: ...
    @property
    def oof(self) -> Table | None: ...


class Seen(Struct, frozen=True, eq=False):
    """Predictions for the same rows. ``parts`` (n,): all predictions of one row, and rows of one split, are in one."""

    labels: Matrix
    predicted: Matrix
    parts: Matrix


def read(models: Mapping[str, Predicted], ctx: StepContext) -> Seen:
    """Return the labels (n,) and the predictions (n, m) or (n, m, k). Raises StepError for tables of other rows."""
    import numpy as np

    from e2i.estimators import schema

    tables: dict[str, pd.DataFrame] = {}
    for name, one in models.items():
        assert one.oof is not None
        tables[name] = _ordered(name, ctx.frame(one.oof), one.model)
    first, target = next(iter(tables)), next(iter(models.values())).model.target
    for name, frame in tables.items():
        same = [*KEY, target]
        if len(frame) != len(tables[first]) or not frame[same].equals(tables[first][same]):
            raise StepError(
                f"{name} and {first} were not judged on the same rows and splits", code="different-rows", hint=_HINT
            )
    rows, model = tables[first], next(iter(models.values())).model
    classes = _classes(rows, model)
    return Seen(
        schema.labels(rows, target, classes),
        np.stack([_predictions(frame, classes, name) for name, frame in tables.items()], axis=1),
        _parts(rows),
    )


def _ordered(name: str, frame: pd.DataFrame, model: Model) -> pd.DataFrame:
    if absent := [column for column in (*KEY, model.target, "prediction") if column not in frame.columns]:
        raise StepError(
            f"the predictions of {name} have no column {absent[0]!r}",
            code="unknown-column",
            hint="`oof` is that output of model.cross_validate",
        )
    return frame.sort_values(KEY, kind="stable").reset_index(drop=True)


def _classes(rows: pd.DataFrame, model: Model) -> Sequence[Any] | None:
    """Return the classes with their types, in the order of the model, which has their texts."""
    if model.classes is None:
        return None
    values = {str(value): value for value in (*rows[model.target].tolist(), *rows["prediction"].tolist())}
    return [values.get(label, label) for label in model.classes]


def _predictions(frame: pd.DataFrame, classes: Sequence[Any] | None, name: str) -> Matrix:
    if classes is None:
        columns = ["prediction"]
    else:
        columns = ["probability"] if len(classes) == 2 else [f"probability_{label}" for label in classes]
    if absent := [column for column in columns if column not in frame.columns]:
        raise StepError(f"the predictions of {name} have no column {absent[0]!r}", code="different-rows", hint=_HINT)
    if classes is not None and len(classes) == 2:
        _require_positive(frame, classes[1], name)
    found: Matrix = frame[columns].to_numpy(dtype="float64")
    return found if len(columns) > 1 else found[:, 0]


def _require_positive(frame: pd.DataFrame, positive: Any, name: str) -> None:
    """Raise StepError when the probabilities are of the other class: their decisions at 0.5 say of which they are."""
    likely = frame["probability"] >= 0.5
    if (frame["prediction"][likely] != positive).any() or (frame["prediction"][~likely] == positive).any():
        raise StepError(
            f"the predictions of {name} are probabilities of another class than {positive!r}",
            code="different-classes",
            hint="set the same `positive` in all steps",
        )


def _parts(rows: pd.DataFrame) -> Matrix:
    """Return for each prediction the split in which its row was tested first; without splits, parts by the row."""
    import numpy as np

    first: Matrix = rows.groupby("row")["split"].transform("min").to_numpy()
    return first if len(np.unique(first)) > 1 else rows["row"].to_numpy() % PARTS
