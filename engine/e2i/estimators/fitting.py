"""Fit models and save them. In: an algorithm, tables and parameters. Out: a fitted model, its folder and manifest.

The stages are separate so that a study runs the expensive ones once: ``prepare`` encodes the tables, ``fit`` may then
be called many times, also from several threads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from e2i.documents import JsonObject
from e2i.errors import StepError
from e2i.estimators import algorithms, devices, leaks, learning, preparation, ranking, schema, sketch
from e2i.estimators.algorithm import Hyperparameters
from e2i.estimators.algorithms import ALGORITHMS, Task
from e2i.estimators.learning import Loss
from e2i.estimators.library import Encoded, Library, library
from e2i.estimators.options import Options
from e2i.estimators.preparation import Preparation
from e2i.estimators.recipes import Operation
from e2i.estimators.rounds import USABLE, Watch
from e2i.estimators.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.manifest import Manifest
    from e2i.estimators.scoring import Matrix, Scorer
    from e2i.estimators.targets import Transformation

PLAIN = Options()
EXAMPLE_ROWS = 5


class Prepared(Struct, frozen=True, eq=False):
    """Encoded tables for fitting one algorithm."""

    algorithm: str
    schema: Schema
    train: Encoded
    validation: Encoded | None
    shared: Any
    example: list[JsonObject]
    target_center: float = 0.0
    target_scale: float = 1.0
    """The library is trained on the target minus the center, divided by the scale. Its outputs are converted back."""
    baseline: tuple[float, ...] = ()
    """The best constant answer: the mean of the target, a quantile if that is learned, or the share of each class."""
    sketch: Any = None
    """``sketch.of`` the training rows; None also for rows of a model that is not kept."""
    warnings: tuple[str, ...] = ()
    preparation: Preparation | None = None
    """What happens to the table's columns before ``schema`` describes them; None: nothing."""
    options: Options = PLAIN
    loss: Loss = Loss()
    transformation: Transformation | None = None
    """What happens to the target before it is centred and scaled; None: nothing."""

    @property
    def constant(self) -> Matrix | float:
        """The best constant answer in the form of metrics: shares of classes, or a number."""
        import numpy as np

        return np.asarray(self.baseline) if self.schema.classes is not None else self.baseline[0]


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
    recipe: Sequence[Operation] = (),
    seed: int = 0,
    groups: Matrix | None = None,
    options: Options = PLAIN,
    suspicions: bool = True,
    sketched: bool = True,
) -> Prepared:
    """Derive the schema from ``train`` and encode both tables, after fitting ``recipe`` to ``train``. Raises StepError.

    ``seed`` and ``groups`` (n,) are for the cross-fitting of the recipe: rows of one group are in one fold. Without
    ``suspicions``, ``warnings`` says nothing of features and rows that know too much, which takes time. Models of
    rows that are not ``sketched`` cannot be compared with the rows that they are judged by.
    """
    if features is None:
        exclude = (*exclude, *(name for name in (options.weights, options.group) if name and name in train.columns))
    query = None if options.group is None else ranking.queries(train, options.group)
    groups = query if groups is None else groups
    own: Preparation | None = None
    table, held = train, validation
    if recipe:
        inputs = schema.inputs(train, target, features, exclude, max_categories)
        _, classes = schema.goal(train, target, algorithm, task=task, positive=positive)
        goal = preparation.Target(target, schema.labels(train, target, classes), classes, seed, groups)
        own, table = preparation.fit(train, inputs, recipe, goal)
        features, exclude = None if features is None else list(map(str, table.columns)), ()
        table[target] = train[target]
        if validation is not None:
            held = own.apply(validation).assign(**{target: _target(validation, target)})
    derived = schema.learn(
        table,
        target,
        algorithm,
        task=task,
        features=features,
        exclude=exclude,
        positive=positive,
        max_categories=max_categories,
    )
    algorithms.check(algorithm, derived.task, {})
    learning.check(algorithm, derived.task, options, {})
    labels = derived.labels(table)
    weights = learning.row_weights(train, options, labels, derived.classes)
    rows = Encoded(derived.encode(table), labels, weights, query)
    held_out = (
        None if held is None else Encoded(derived.encode(held), derived.labels(held), None, _queries(held, options))
    )
    if query is not None and validation is not None and options.group is not None:
        ranking.require_apart(train[options.group], validation[options.group])
    for one in (rows, held_out) if derived.task == "ranking" else ():
        if one is not None and one.groups is not None:
            ranking.require_grades(one.labels, one.groups, target)
    is_scaled = bool(algorithms.of(algorithm).rounds) and derived.task == "regression" and not options.is_log
    changed = learning.transformation(options, rows.labels, target) if derived.task == "regression" else None
    learned, held_learned = rows.learned(changed), held_out and held_out.learned(changed)
    center, scale = learning.standard(learned.labels) if is_scaled else (0.0, 1.0)
    encoded = learned.standardised(center, scale), held_learned and held_learned.standardised(center, scale)
    shared = library(algorithms.of(algorithm)).prepare(derived, *encoded, threads)
    loss = learning.loss(algorithm, options, derived, scale)
    assumed = None if task else schema.assumed(derived, rows.labels, algorithm)
    given = derived if own is None else replace(derived, features=own.features, encoding="doubles")
    suspicious = leaks.warnings(train, validation, given, rows.labels) if suspicions else ()
    return Prepared(
        algorithm,
        derived,
        rows,
        held_out,
        shared,
        example(train, given.names),
        target_center=center,
        target_scale=scale,
        baseline=tuple(map(float, learning.constant(loss.objective, loss.quantile, rows.labels, derived.classes))),
        sketch=sketch.of(train, given, rows.labels) if sketched else None,
        warnings=(
            *filter(None, [assumed, devices.usable(algorithm, options.device).note]),
            *derived.warnings,
            *suspicious,
        ),
        preparation=own,
        options=options,
        loss=loss,
        transformation=changed,
    )


def _queries(frame: pd.DataFrame, options: Options) -> Matrix | None:
    return None if options.group is None else ranking.queries(frame, options.group)


def _target(frame: pd.DataFrame, target: str) -> Any:
    if target not in frame.columns:
        raise StepError(f"the table has no target column {target!r}", code="unknown-column")
    return frame[target]


def fit(prepared: Prepared, params: Hyperparameters, *, seed: int, threads: int, watch: Watch | None = None) -> Fitted:
    """Fit one model. ``watch`` needs an algorithm that trains in rounds and a validation table. Raises StepError."""
    from e2i.estimators.scoring import Scorer

    algorithm = algorithms.check(prepared.algorithm, prepared.schema.task, params)
    learning.check(prepared.algorithm, prepared.schema.task, prepared.options, params)
    if watch is not None:
        _check_watch(prepared, watch)
    params = {**algorithm.preset, **params}
    module = library(algorithm)
    data, loss = prepared.shared, prepared.loss
    native = module.fit(
        prepared.algorithm, prepared.schema, data, params, loss, seed=seed, threads=threads, watch=watch
    )
    return Fitted(Scorer(_manifest(prepared, module, params, seed), native), prepared)


def save(fitted: Fitted, folder: Path) -> Path:
    """Write the model's folder, ``manifest.json``, the library's own file and the sketch of its training rows, and
    return the folder.
    """
    folder.mkdir(parents=True)
    manifest = fitted.scorer.manifest
    file = folder / manifest["file"]
    library(algorithms.of(fitted.prepared.algorithm)).save(fitted.scorer.native, file)
    sketch.save(fitted.prepared.sketch, folder)
    manifest = {**manifest, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    write_manifest(folder, manifest)
    return folder


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest.json`` into a model's folder. Equal manifests give equal bytes."""
    text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def _check_watch(prepared: Prepared, watch: Watch) -> None:
    if not algorithms.of(prepared.algorithm).rounds:
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
    usable = USABLE[prepared.schema.shape]
    learning.check_watched(prepared.algorithm, prepared.options)
    if watch.metric not in usable:
        raise StepError(
            f"{watch.metric} is not computed round by round for this target",
            code="wrong-metric",
            hint=f"choose {' or '.join(usable)}",
        )


def _manifest(prepared: Prepared, module: Library, params: Hyperparameters, seed: int) -> Manifest:
    from importlib.metadata import version

    derived, own = prepared.schema, prepared.preparation
    found: Manifest = {
        "schema_version": 3 if prepared.options.is_log or prepared.transformation else 1 if own is None else 2,
        "algorithm": algorithms.recorded(prepared.algorithm),
        "library": algorithms.of(prepared.algorithm).flavour,
        "task": derived.task,
        "target": derived.target,
        "classes": None if derived.classes is None else list(derived.classes),
        "encoding": derived.encoding,
        "features": list(derived.features if own is None else own.features),
        "file": module.FILE,
        "requirements": [f"{name}=={version(name)}" for name in algorithms.of(prepared.algorithm).requirements],
        "example": prepared.example,
        "seed": seed,
        "params": dict(params),
        "target_center": prepared.target_center,
        "target_scale": prepared.target_scale,
        "baseline": list(prepared.baseline),
    }
    if prepared.algorithm not in ALGORITHMS and algorithms.recorded(prepared.algorithm) not in ALGORITHMS:
        found["explainer"] = algorithms.of(prepared.algorithm).explainer
    if prepared.loss.objective != "squared":
        found["objective"] = prepared.loss.objective
    if prepared.options.is_log:
        found["link"] = "log"
    if prepared.transformation is not None:
        found["target_transform"] = prepared.transformation
    if prepared.options.group is not None:
        found["group"] = prepared.options.group
    if own is not None:
        found["prepare"] = {"steps": list(own.steps), "features": list(derived.features)}
    return found


def example(train: pd.DataFrame, names: Sequence[str]) -> list[JsonObject]:
    """Return the first rows of these columns as JSON mappings; missing values are null, times are texts."""
    import pandas as pd

    def plain(value: Any) -> Any:
        if pd.isna(value):
            return None
        value = value.item() if hasattr(value, "item") else value
        if isinstance(value, date):
            return value.isoformat()
        return value if isinstance(value, bool | int | float | str) else float(value)

    rows = train[list(names)].head(EXAMPLE_ROWS)
    return [
        {name: plain(value) for name, value in zip(names, row, strict=True)}
        for row in rows.itertuples(index=False, name=None)
    ]
