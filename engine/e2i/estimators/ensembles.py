"""Combine models, and save what combines them. In: predictions for rows that no model saw. Out: a mixture, a model.

``greedy`` is the ensemble selection of Caruana et al. (2004). ``stack`` is Wolpert's (1992), with the non-negative
coefficients of Breiman (1996) for numbers, and a logistic regression of the logits for classes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from e2i.errors import StepError
from e2i.estimators import metrics
from e2i.estimators.algorithms import ENSEMBLE, Task
from e2i.estimators.one_thread import one_thread

if TYPE_CHECKING:
    from e2i.estimators.deciding import Mixture
    from e2i.estimators.encoding import Feature
    from e2i.estimators.manifest import Manifest
    from e2i.estimators.scoring import Matrix, Scorer

Method = Literal["mean", "greedy", "stack"]
FILE = "ensemble.json"
STRENGTH = 1.0
"""Inverse strength of the ridge penalty of a stacked classification, which is scikit-learn's default."""
PARTS = 5
"""Parts of the rows for cross-fitting, where the tables have no splits."""


class Stacking(Struct, frozen=True):
    """How models are combined: ``rounds`` are the choices of ``greedy``, by ``metric``."""

    method: Method
    metric: str
    rounds: int


def average(weights: Sequence[float]) -> Mixture:
    """Return a weighted mean. The weights are divided by their sum."""
    return {"method": "average", "weights": [weight / sum(weights) for weight in weights]}


def fit(how: Stacking, task: Task, labels: Matrix, predicted: Matrix) -> Mixture:
    """Return the mixture of models whose predictions for rows that they did not see are ``predicted``.

    ``labels`` (n,) are numbers, or positions of classes; ``predicted`` (n, m), or (n, m, k) of more than two classes.
    """
    match how.method:
        case "mean":
            return average([1.0] * predicted.shape[1])
        case "greedy":
            return _greedy(how, task, labels, predicted)
        case "stack":
            return _numbers(labels, predicted) if task == "regression" else _classes(labels, predicted)


def cross_fitted(how: Stacking, task: Task, labels: Matrix, predicted: Matrix, parts: Matrix) -> Matrix:
    """Return the predictions of mixtures that are fitted to the rows of the other ``parts`` (n,)."""
    import numpy as np

    from e2i.estimators.deciding import combined

    found = np.empty((len(labels), *predicted.shape[2:]))
    for part in np.unique(parts):
        inside = parts == part
        if task == "classification" and len(set(labels[~inside].tolist())) < len(set(labels.tolist())):
            raise StepError(
                "the rows outside of a split lack a class, so that models cannot be combined by them",
                code="bad-target",
                hint="use strategy stratified or stratified_group in data.folds, or fewer folds",
            )
        mixture = fit(how, task, labels[~inside], predicted[~inside])
        found[inside] = combined(predicted[inside], mixture)
    return found


def save(
    folder: Path, mixture: Mixture, members: Mapping[str, tuple[Path, Scorer]], params: Mapping[str, str], seed: int
) -> Manifest:
    """Write an ensemble into a new folder and return its manifest. ``members``: name → its folder, and what is loaded.

    Raises StepError for a column that two of them take as different types.
    """
    from e2i.estimators.fitting import write_manifest
    from e2i.estimators.scoring import MEMBERS

    folder.mkdir(parents=True)
    scorers = [scorer for _, scorer in members.values()]
    for place, (source, _) in enumerate(members.values()):
        shutil.copytree(source, folder / MEMBERS / str(place), copy_function=shutil.copyfile)
    file = folder / FILE
    file.write_text(json.dumps(mixture, indent=1) + "\n", encoding="utf-8")
    first = scorers[0].manifest
    manifest: Manifest = {
        "schema_version": 5,
        "algorithm": ENSEMBLE,
        "library": "ensemble",
        "task": first["task"],
        "target": first["target"],
        "classes": first["classes"],
        "encoding": "members",
        "features": _features(members),
        "members": list(members),
        "file": FILE,
        "requirements": list(dict.fromkeys(one for scorer in scorers for one in scorer.manifest["requirements"])),
        "example": _example(scorers),
        "seed": seed,
        "params": dict(params),
        "target_center": 0.0,
        "target_scale": 1.0,
        "baseline": first["baseline"],
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    write_manifest(folder, manifest)
    return manifest


def _greedy(how: Stacking, task: Task, labels: Matrix, predicted: Matrix) -> Mixture:
    """Return the mean of the models that were chosen, each as often as it was: the best of all numbers of rounds."""
    import numpy as np

    sign = -1.0 if metrics.METRICS[how.metric].direction == "maximize" else 1.0
    count = predicted.shape[1]
    chosen: list[int] = []
    total = np.zeros((len(labels), *predicted.shape[2:]))
    losses: list[float] = []
    for size in range(1, how.rounds + 1):
        tried = [
            sign * metrics.score(how.metric, labels, (total + predicted[:, place]) / size) for place in range(count)
        ]
        best = int(np.argmin(tried))
        chosen.append(best)
        losses.append(tried[best])
        total += predicted[:, best]
    most = int(np.argmin(losses)) + 1
    return average([float(chosen[:most].count(place)) for place in range(count)])


def _numbers(labels: Matrix, predicted: Matrix) -> Mixture:
    """Return non-negative coefficients with the least squared error, and an intercept."""
    from scipy.optimize import nnls

    middle, mean = predicted.mean(axis=0), float(labels.mean())
    coefficients, _ = nnls(predicted - middle, labels - mean)
    intercept = mean - float(middle @ coefficients)
    return {"method": "stack", "coefficients": [[float(one)] for one in coefficients], "intercepts": [intercept]}


def _classes(labels: Matrix, predicted: Matrix) -> Mixture:
    """Return the coefficients of a logistic regression."""
    from sklearn.linear_model import LogisticRegression

    from e2i.estimators import calibrating
    from e2i.estimators.deciding import stacked

    nearest = calibrating.least_distance(predicted)
    with one_thread():
        fitted = LogisticRegression(C=STRENGTH, max_iter=1000, tol=1e-8).fit(stacked(predicted, nearest), labels)
    return {
        "method": "stack",
        "coefficients": fitted.coef_.T.tolist(),
        "intercepts": fitted.intercept_.tolist(),
        "nearest": nearest,
    }


def _features(members: Mapping[str, tuple[Path, Scorer]]) -> list[Feature]:
    """Return the columns that some member needs. A category has the values that some member knows."""
    found: dict[str, Feature] = {}
    for name, (_, scorer) in members.items():
        for feature in scorer.manifest["features"]:
            known = found.get(feature["name"])
            texts = {"category", "text"}
            if known is not None and known["kind"] != feature["kind"] and {known["kind"], feature["kind"]} != texts:
                raise StepError(
                    f"{name} takes the column {feature['name']!r} as a {feature['kind']}, another model as a "
                    f"{known['kind']}",
                    code="bad-feature",
                    hint="train all models on columns of one type",
                )
            found[feature["name"]] = _plain(feature) if known is None else _either(known, feature)
    return list(found.values())


def _plain(feature: Feature) -> Feature:
    """Return a feature as a table has it, without what a library's encoding needs."""
    plain: Feature = {"name": feature["name"], "kind": feature["kind"], "type": feature["type"]}
    if "categories" in feature:
        plain["categories"] = feature["categories"]
    return plain


def _either(known: Feature, other: Feature) -> Feature:
    if "categories" in known and "categories" in other:
        return {**known, "categories": sorted({*known["categories"], *other["categories"]})}
    if known["kind"] == "number":
        return known if known["type"] == other["type"] else {**known, "type": "double"}
    return known if known["kind"] == "text" else _plain(other)


def _example(scorers: Sequence[Scorer]) -> list[Any]:
    """Return rows with the columns of all members: those of each in the order of its own example."""
    several = [scorer.manifest["example"] for scorer in scorers]
    return [{key: value for row in rows for key, value in row.items()} for rows in zip(*several, strict=False)]
