"""Fit models and save them. In: an algorithm, tables and parameters. Out: a fitted model, its folder and manifest.

The stages are separate so that a study runs the expensive ones once: ``prepare`` encodes the tables, ``fit`` may then
be called many times, also from several threads.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.documents import JsonObject, Values
from e2i.errors import StepError
from e2i.estimators import algorithms, leaks, schema, sketch
from e2i.estimators.algorithms import ALGORITHMS, Task
from e2i.estimators.library import Encoded, Library, library
from e2i.estimators.rounds import Watch
from e2i.estimators.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Manifest, Matrix, Scorer

EXAMPLE_ROWS = 5
SMALL = 2.0**-6
"""Standard deviation of a target below which boosters are trained on a multiple of it."""


class Prepared(Struct, frozen=True, eq=False):
    """Encoded tables for fitting one algorithm."""

    algorithm: str
    schema: Schema
    train: Encoded
    validation: Encoded | None
    shared: Any
    example: list[JsonObject]
    target_scale: float = 1.0
    """The library is trained on the target divided by this, and its outputs are multiplied by it."""
    baseline: tuple[float, ...] = ()
    """The best constant answer: the mean of the target, or the share of each class."""
    sketch: Any = None
    """``sketch.of`` the training rows."""
    warnings: tuple[str, ...] = ()


class Fitted(Struct, frozen=True, eq=False):
    """A fitted model in memory."""

    scorer: Scorer
    prepared: Prepared


def prepare(
    train: pd.DataFrame,
    validation: pd.DataFrame | None,
    target: str,
    algorithm: str,
    *,
    task: Task | None = None,
    features: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    positive: Any = None,
    max_categories: int = schema.MAX_CATEGORIES,
    threads: int = 1,
) -> Prepared:
    """Derive the schema from ``train`` and encode both tables. Raises StepError."""
    derived = schema.learn(
        train,
        target,
        algorithm,
        task=task,
        features=features,
        exclude=exclude,
        positive=positive,
        max_categories=max_categories,
    )
    algorithms.check(algorithm, derived.task, {})
    rows = Encoded(derived.encode(train), derived.labels(train))
    held_out = None if validation is None else Encoded(derived.encode(validation), derived.labels(validation))
    scale = _scale(rows.labels) if ALGORITHMS[algorithm].rounds and derived.task == "regression" else 1.0
    encoded = rows.divided(scale), held_out and held_out.divided(scale)
    shared = library(ALGORITHMS[algorithm]).prepare(derived, *encoded, threads)
    assumed = None if task else schema.assumed(derived, rows.labels, algorithm)
    warnings = (*filter(None, [assumed]), *derived.warnings, *leaks.warnings(train, validation, derived, rows.labels))
    return Prepared(
        algorithm,
        derived,
        rows,
        held_out,
        shared,
        _example(train, derived),
        target_scale=scale,
        baseline=_baseline(rows.labels, derived),
        sketch=sketch.of(train, derived, rows.labels),
        warnings=warnings,
    )


def fit(prepared: Prepared, params: Values, *, seed: int, threads: int, watch: Watch | None = None) -> Fitted:
    """Fit one model. ``watch`` needs an algorithm that trains in rounds and a validation table. Raises StepError."""
    from e2i.estimators.scoring import Scorer

    algorithm = algorithms.check(prepared.algorithm, prepared.schema.task, params)
    if watch is not None:
        _check_watch(prepared, watch)
    module = library(algorithm)
    native = module.fit(
        prepared.algorithm, prepared.schema, prepared.shared, params, seed=seed, threads=threads, watch=watch
    )
    return Fitted(Scorer(_manifest(prepared, module, params, seed), native), prepared)


def save(fitted: Fitted, folder: Path) -> Path:
    """Write the model's folder, ``manifest.json``, the library's own file and the sketch of its training rows, and
    return the folder.
    """
    folder.mkdir(parents=True)
    manifest = fitted.scorer.manifest
    file = folder / manifest["file"]
    library(ALGORITHMS[manifest["algorithm"]]).save(fitted.scorer.native, file)
    sketch.save(fitted.prepared.sketch, folder)
    manifest = {**manifest, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")
    return folder


def _scale(labels: Matrix) -> float:
    """Return a power of two, which divides exactly, near the spread of a target whose squared errors are so small that
    XGBoost takes them for rounding (it ignores gains below 1e-6); 1 for any other target.
    """
    spread = float(labels.std())
    return 2.0 ** math.floor(math.log2(spread)) if 0.0 < spread < SMALL else 1.0


def _baseline(labels: Matrix, derived: Schema) -> tuple[float, ...]:
    import numpy as np

    if derived.classes is None:
        return (float(labels.mean()),)
    return tuple(float(share) for share in np.bincount(labels, minlength=len(derived.classes)) / len(labels))


def _check_watch(prepared: Prepared, watch: Watch) -> None:
    if not ALGORITHMS[prepared.algorithm].rounds:
        able = ", ".join(name for name, found in ALGORITHMS.items() if found.rounds)
        raise StepError(
            f"{prepared.algorithm} does not train in rounds, so it supports neither early stopping nor pruning",
            code="no-rounds",
            hint=f"algorithms that do: {able}",
        )
    if prepared.validation is None:
        raise StepError("early stopping needs a validation table", code="no-validation", hint="set `validation`")
    if prepared.schema.classes is not None and len(set(prepared.validation.labels.tolist())) < 2:
        raise StepError(
            f"the validation table has {len(prepared.validation.labels)} rows of one class, so no round can be judged",
            code="bad-validation",
            hint="check the split; a table for early stopping needs rows of every class",
        )
    usable = {"regression": ("rmse", "mae"), "binary": ("log_loss", "roc_auc"), "multiclass": ("log_loss",)}
    if watch.metric not in usable[prepared.schema.shape]:
        raise StepError(
            f"{watch.metric} is not computed round by round for this target",
            code="wrong-metric",
            hint=f"choose {' or '.join(usable[prepared.schema.shape])}",
        )


def _manifest(prepared: Prepared, module: Library, params: Values, seed: int) -> Manifest:
    from importlib.metadata import version

    derived = prepared.schema
    return {
        "schema_version": 1,
        "algorithm": prepared.algorithm,
        "library": module.LIBRARY,
        "task": derived.task,
        "target": derived.target,
        "classes": None if derived.classes is None else list(derived.classes),
        "encoding": derived.encoding,
        "features": list(derived.features),
        "file": module.FILE,
        "requirements": [f"{name}=={version(name)}" for name in ALGORITHMS[prepared.algorithm].requirements],
        "example": prepared.example,
        "seed": seed,
        "params": dict(params),
        "target_scale": prepared.target_scale,
        "baseline": list(prepared.baseline),
    }


def _example(train: pd.DataFrame, derived: Schema) -> list[JsonObject]:
    """Return the first rows as JSON mappings; missing values are null."""
    import pandas as pd

    def plain(value: Any) -> Any:
        if pd.isna(value):
            return None
        value = value.item() if hasattr(value, "item") else value
        return value if isinstance(value, bool | int | float | str) else float(value)

    rows = train[list(derived.names)].head(EXAMPLE_ROWS)
    return [
        {name: plain(value) for name, value in zip(derived.names, row, strict=True)}
        for row in rows.itertuples(index=False, name=None)
    ]
