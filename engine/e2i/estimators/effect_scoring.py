"""Apply a saved effect model. In: the model's folder and a table. Out: effects and the bounds of their intervals.

This module is self-contained: it is copied unchanged into every Bento and MLflow model of effects, beside
``scoring.py``, which encodes rows. It imports nothing of e2i, and EconML only when a forest is loaded.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Container, Mapping
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pandas as pd

Matrix = np.ndarray[Any, np.dtype[Any]]

MANIFEST, FOREST = "manifest.json", "forest.npz"
OUTPUTS = ("effect", "lower", "upper")
"""The columns of a prediction: the effect on each row, and its interval of the model's level."""
PARTS = {
    "SLearner": frozenset({"outcome"}),
    "TLearner": frozenset({"treated", "untreated"}),
    "XLearner": frozenset({"treated", "untreated", "propensity"}),
}
"""The parts of models whose effects are differences of predictions."""
KINDS = ("CausalForest", "RegressionForest")
STATE = ("nodes", "values", "jac", "precond")
WHOLE = ("n_features_", "n_y_", "n_outputs_", "n_relevant_outputs_")


class Question(TypedDict, total=False):
    """What is read of the question that a model answers."""

    level: float


class Part(NamedTuple):
    """A prediction of the outcome, of a gain or of the treatment: the library's own object, and what is known of it.

    ``about`` has the part's ``name``, its ``algorithm`` and ``library``, its ``shape`` (``regression``, or ``binary``
    for a probability), and its ``file`` with the ``sha256``.
    """

    about: Mapping[str, str]
    native: Any


class Predictions:
    """A model of effects that are differences of predictions, by its parts (Künzel et al. 2019, as in EconML)."""

    def __init__(self, estimator: str, parts: Mapping[str, Part], scoring: Any) -> None:
        self.estimator, self.parts, self._scoring = estimator, parts, scoring

    def effect(self, rows: Matrix) -> Matrix:
        """Return the effect on encoded rows, shape (rows,)."""
        if not len(rows):
            return np.empty(0)
        if self.estimator == "SLearner":
            ones = np.ones(len(rows))
            arms = [self._of("outcome", np.column_stack([rows, arm * ones])) for arm in (1, 0)]
            return np.subtract(*arms)
        treated, untreated = self._of("treated", rows), self._of("untreated", rows)
        if self.estimator == "TLearner":
            return np.subtract(treated, untreated)
        share = self._of("propensity", rows)
        return np.asarray(share * untreated + (1 - share) * treated)

    def _of(self, name: str, rows: Matrix) -> Matrix:
        about, native = self.parts[name]
        found: Matrix = self._scoring.predictions(about["library"], native, rows, about["shape"])
        return found


class Described(TypedDict):
    """The manifest of an effect model, as far as it is needed to apply the model."""

    estimator: str
    treatment: str
    outcome: str
    control: Any
    treated: Any
    features: list[Any]
    """As in ``scoring.Feature``."""
    encoding: str
    question: Question
    coefficients: list[float] | None
    covariance: list[list[float]] | None


def is_effects(manifest: Container[str]) -> bool:
    """Return True for the manifest of an effect model, False for that of a model that predicts."""
    return "estimator" in manifest and "algorithm" not in manifest


def load(folder: str | Path, scoring: Any) -> EffectScorer:
    """Return the model in a folder. ``scoring`` is the module ``scoring.py``. Raises its ScoringError."""
    saved = Path(folder)
    try:
        manifest = json.loads((saved / MANIFEST).read_text(encoding="utf-8"))
        if manifest["schema_version"] != 1:
            raise ValueError(f"{MANIFEST} has schema version {manifest['schema_version']}; this module reads 1")
        native = read_forest(saved, manifest["forest"], manifest["sha256"])
        if manifest.get("parts"):
            native = read_parts(saved, manifest["estimator"], manifest["parts"], scoring)
        return EffectScorer(manifest, native, scoring)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise scoring.ScoringError(f"{saved.name} is not a saved effect model: {error}") from error


class EffectScorer:
    """A loaded effect model. ``native`` is EconML's forest, or ``Predictions``; None for a linear model."""

    def __init__(self, manifest: Described, native: Any, scoring: Any) -> None:
        self.manifest = manifest
        self.native = native
        self._scoring = scoring

    @property
    def features(self) -> list[str]:
        return [str(feature["name"]) for feature in self.manifest["features"]]

    @property
    def level(self) -> float:
        """Return the level of the intervals that the model was estimated with."""
        return float(self.manifest["question"].get("level", 0.95))

    def encode(self, frame: pd.DataFrame) -> Matrix:
        """Return the effect modifiers of shape (rows, columns). Raises ScoringError."""
        if not self.manifest["features"]:
            return np.empty((len(frame), 0))
        encoding = self.manifest.get("encoding", "one-hot")
        encoded: Matrix = self._scoring.encode(frame, self.manifest["features"], encoding)
        if np.isnan(encoded).any():
            raise self._scoring.ScoringError("the effect modifiers have missing values, which this model does not take")
        return encoded

    def of(self, encoded: Matrix) -> tuple[Matrix, Matrix]:
        """Return the effect on encoded rows and its standard error, both of shape (rows,), in units of the outcome."""
        return effects(encoded, self.native, self.manifest["coefficients"], self.manifest["covariance"])

    def point(self, encoded: Matrix) -> Matrix:
        """Return the effect on encoded rows alone, which takes a forest less time than its standard error too."""
        forest = self.native is not None and not isinstance(self.native, Predictions)
        if not forest or not len(encoded):
            return self.of(encoded)[0]
        found: Matrix = self.native.predict(np.ascontiguousarray(encoded))[:, 0]
        return found

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the columns of ``OUTPUTS`` for each row of the frame. Raises ScoringError."""
        found = interval(*self.of(self.encode(frame)), self.level)
        return pd.DataFrame(dict(zip(OUTPUTS, found, strict=True)), index=frame.index)


def effects(rows: Matrix, native: Any, coefficients: Any, covariance: Any) -> tuple[Matrix, Matrix]:
    """Return the effect on encoded rows and its standard error: of a forest, else of coefficients with a constant.

    The error is NaN where the model has none: of differences of predictions.
    """
    if isinstance(native, Predictions):
        return native.effect(rows), np.full(len(rows), np.nan)
    if native is not None:
        if not len(rows):  # a forest takes no empty table
            return np.empty(0), np.empty(0)
        point, variance = native.predict_and_var(np.ascontiguousarray(rows))
        return point[:, 0], np.sqrt(variance[:, 0, 0])
    design = np.column_stack([np.ones(len(rows)), rows])
    spread = np.einsum("ij,jk,ik->i", design, np.asarray(covariance), design)
    return design @ np.asarray(coefficients), np.sqrt(np.maximum(spread, 0.0))


def interval(point: Matrix, error: Matrix, level: float) -> tuple[Matrix, Matrix, Matrix]:
    """Return the effects with the bounds of their normal intervals."""
    half = NormalDist().inv_cdf((1 + level) / 2) * error
    return point, point - half, point + half


def read_forest(folder: Path, kind: str | None, digest: str | None) -> Any:
    """Return the forest of a model's folder; None for a model without one. Raises ValueError, OSError."""
    if kind is None:
        return None
    content = (folder / FOREST).read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{FOREST} is not the file that was saved")
    return from_arrays(content, kind)


def read_parts(folder: Path, estimator: str, parts: list[dict[str, str]], scoring: Any) -> Predictions:
    """Return the parts of a model's folder. Raises ValueError, OSError for files that are not those that were saved."""
    found = {}
    for about in parts:
        file = folder / Path(about["file"]).name
        if hashlib.sha256(file.read_bytes()).hexdigest() != about["sha256"]:  # some libraries crash on corrupt files
            raise ValueError(f"{file.name} is not the file that was saved")
        found[about["name"]] = Part(about, scoring.read(about["library"], file))
    if found.keys() != PARTS.get(estimator, frozenset()):
        raise ValueError(f"{estimator} has other parts than {', '.join(sorted(found))}")
    return Predictions(estimator, found, scoring)


def from_arrays(content: bytes, kind: str) -> Any:
    """Return the forest that ``forests.to_arrays`` wrote. Raises ValueError for content or a kind that it did not
    write. Nothing is unpickled: numpy refuses objects.
    """
    import econml.grf
    from econml.grf._base_grftree import GRFTree
    from econml.tree._tree import Tree

    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not a kind of forest")
    forest = getattr(econml.grf, kind)()
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    if problem := _unsound(found):
        raise ValueError(f"{FOREST} is no forest: {problem}")
    for name, value in zip(WHOLE, found["shape"].tolist(), strict=True):
        setattr(forest, name, value)
    ends = np.cumsum(found["counts"])
    trees = []
    for number, end in enumerate(ends):
        rows = slice(end - found["counts"][number], end)
        tree = Tree(*(int(value) for value in found["trees"][number][:3]), bool(found["trees"][number][3]))
        state = {name: np.ascontiguousarray(found[name][rows]) for name in STATE if name in found}
        tree.__setstate__(
            {"max_depth": int(found["depths"][number]), "node_count": int(found["counts"][number]), **state}
        )
        shell = GRFTree()
        shell.tree_ = tree
        for name in WHOLE:
            setattr(shell, "n_features_in_" if name == "n_features_" else name, getattr(forest, name))
        trees.append(shell)
    forest.estimators_ = trees
    forest.slices_ = list(found["slices"])
    forest.inference_ = forest.inference = True
    forest.n_jobs = 1  # sums of threads keep no order
    return forest


def _unsound(found: Mapping[str, Matrix]) -> str | None:
    """Return what is wrong with the arrays of a forest; None when EconML's code, which checks nothing, may follow them.

    A tree is written from its root: the children of a node have higher numbers, and are in the same tree.
    """
    lacking = {"shape", "trees", "depths", "counts", "slices", "nodes", "values"} - found.keys()
    if lacking:
        return f"it lacks {min(lacking)}"
    counts, nodes, trees = found["counts"], found["nodes"], found["trees"]
    whole = [*found["shape"].tolist()]
    if len(whole) != len(WHOLE) or counts.dtype.kind != "i" or counts.ndim != 1 or (counts < 1).any():
        return "its trees have no sizes"
    if trees.shape != (len(counts), 4) or len(found["depths"]) != len(counts) or (trees[:, 0] != whole[0]).any():
        return "its trees are not those of its features"
    if any(len(found[name]) != counts.sum() for name in STATE if name in found) or not nodes.dtype.names:
        return "its trees have other nodes than they say"
    own = np.arange(len(nodes)) - np.repeat(np.cumsum(counts) - counts, counts)
    sizes = np.repeat(counts, counts)
    left, right, feature = nodes["left_child"], nodes["right_child"], nodes["feature"]
    inner = left != -1
    children = np.stack([left, right])[:, inner]
    if ((children <= own[inner]) | (children >= sizes[inner])).any() or (right[~inner] != -1).any():
        return "a node leads out of its tree"
    if ((feature[inner] < 0) | (feature[inner] >= whole[0])).any():
        return "a node looks at a feature that there is not"
    return None


class _PyFunc:
    """MLflow model: ``predict`` of a frame, or of anything that converts to a frame."""

    def __init__(self, scorer: EffectScorer) -> None:
        self.scorer = scorer

    def predict(self, frame: Any, params: object = None) -> pd.DataFrame:
        rows = frame if isinstance(frame, pd.DataFrame) else pd.DataFrame(frame, columns=self.scorer.features)
        return self.scorer.predict(rows)


def _load_pyfunc(path: str) -> _PyFunc:
    """Load the model for MLflow (entry point of ``loader_module``)."""
    import e2i_scoring  # type: ignore[import-not-found]  # the copy of ``scoring.py`` that travels in the model

    return _PyFunc(load(path, e2i_scoring))
