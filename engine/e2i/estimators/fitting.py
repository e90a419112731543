"""An algorithm, tables and parameters go in; a fitted model comes out, and its folder with manifest and native file.

The steps are apart so that a study can do the costly ones once: ``prepare`` encodes the tables, ``fit`` may then be
called many times, also from several threads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from e2i.errors import StepError
from e2i.estimators import algorithms, schema
from e2i.estimators.algorithms import ALGORITHMS, Task
from e2i.estimators.rounds import Watch
from e2i.estimators.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix, Scorer

EXAMPLE_ROWS = 5


class Encoded(Struct, frozen=True, eq=False):
    """Rows as a library takes them, with their labels."""

    matrix: Any
    labels: Matrix


class Library(Protocol):
    """What a module of ``e2i.estimators`` offers to train with one library. ``FILE`` names the file it saves."""

    FILE: str
    LIBRARY: str

    def prepare(self, schema: Schema, train: Encoded, validation: Encoded | None, threads: int) -> Any:
        """What fits of equal rows can share; safe to use from several threads."""

    def fit(
        self,
        algorithm: str,
        schema: Schema,
        data: Any,
        params: Mapping[str, Any],
        *,
        seed: int,
        threads: int,
        watch: Watch | None,
    ) -> Any:
        """The library's fitted model. Raises StepError when the library refuses the data or a parameter."""

    def save(self, native: Any, path: Path) -> None:
        """Writes the model; equal models give equal bytes."""


class Prepared(Struct, frozen=True, eq=False):
    """Tables made ready for fitting one algorithm."""

    algorithm: str
    schema: Schema
    train: Encoded
    validation: Encoded | None
    shared: Any
    example: list[dict[str, Any]]


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
    threads: int = 1,
) -> Prepared:
    """Learns the schema from ``train`` and encodes both tables. Raises StepError."""
    learnt = schema.learn(train, target, algorithm, task=task, features=features, exclude=exclude)
    algorithms.check(algorithm, learnt.task, {})
    rows = Encoded(learnt.encode(train), learnt.labels(train))
    held_out = None if validation is None else Encoded(learnt.encode(validation), learnt.labels(validation))
    shared = ALGORITHMS[algorithm].library().prepare(learnt, rows, held_out, threads)
    return Prepared(algorithm, learnt, rows, held_out, shared, _example(train, learnt))


def fit(
    prepared: Prepared, params: Mapping[str, Any], *, seed: int, threads: int, watch: Watch | None = None
) -> Fitted:
    """Fits one model. ``watch`` needs an algorithm that learns in rounds and a validation table. Raises StepError."""
    from e2i.estimators.scoring import Scorer

    algorithm = algorithms.check(prepared.algorithm, prepared.schema.task, params)
    if watch is not None:
        _check_watch(prepared, watch)
    library = algorithm.library()
    native = library.fit(
        prepared.algorithm, prepared.schema, prepared.shared, params, seed=seed, threads=threads, watch=watch
    )
    return Fitted(Scorer(_manifest(prepared, library, params, seed), native), prepared)


def save(fitted: Fitted, folder: Path) -> Path:
    """Writes the model's folder: ``manifest.json`` and the library's own file. Returns the folder."""
    folder.mkdir(parents=True)
    manifest = fitted.scorer.manifest
    file = folder / manifest["file"]
    ALGORITHMS[manifest["algorithm"]].library().save(fitted.scorer.native, file)
    manifest = {**manifest, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")
    return folder


def _check_watch(prepared: Prepared, watch: Watch) -> None:
    if not ALGORITHMS[prepared.algorithm].rounds:
        able = ", ".join(name for name, found in ALGORITHMS.items() if found.rounds)
        raise StepError(
            f"{prepared.algorithm} does not learn in rounds: it can neither stop early nor be pruned",
            code="no-rounds",
            hint=f"algorithms that can: {able}",
        )
    if prepared.validation is None:
        raise StepError("stopping early needs a validation table", code="no-validation", hint="give `validation`")
    usable = {"regression": ("rmse", "mae"), "binary": ("log_loss", "roc_auc"), "multiclass": ("log_loss",)}
    if watch.metric not in usable[prepared.schema.shape]:
        raise StepError(
            f"{watch.metric} cannot be followed round by round for this target",
            code="wrong-metric",
            hint=f"choose {' or '.join(usable[prepared.schema.shape])}",
        )


def _manifest(prepared: Prepared, library: Library, params: Mapping[str, Any], seed: int) -> dict[str, Any]:
    from importlib.metadata import version

    learnt = prepared.schema
    return {
        "schema_version": 1,
        "algorithm": prepared.algorithm,
        "library": library.LIBRARY,
        "task": learnt.task,
        "target": learnt.target,
        "classes": None if learnt.classes is None else list(learnt.classes),
        "encoding": learnt.encoding,
        "features": list(learnt.features),
        "file": library.FILE,
        "requirements": [f"{name}=={version(name)}" for name in ALGORITHMS[prepared.algorithm].requirements],
        "example": prepared.example,
        "seed": seed,
        "params": dict(params),
    }


def _example(train: pd.DataFrame, learnt: Schema) -> list[dict[str, Any]]:
    """The first rows as mappings that JSON can hold; missing values are null."""
    import pandas as pd

    def plain(value: Any) -> Any:
        if pd.isna(value):
            return None
        value = value.item() if hasattr(value, "item") else value
        return value if isinstance(value, bool | int | float | str) else float(value)

    rows = train[list(learnt.names)].head(EXAMPLE_ROWS)
    return [
        {name: plain(value) for name, value in zip(learnt.names, row, strict=True)}
        for row in rows.itertuples(index=False, name=None)
    ]
