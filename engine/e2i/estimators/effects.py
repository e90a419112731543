"""Effect models: what a treatment changes for each row. In: a folder, or fitted parameters. Out: effects and intervals.

A folder has ``manifest.json`` and, for a forest, ``forest.npz``: numbers alone, no pickle (ADR 51). Models are applied
by ``effect_scoring``, also where they are served.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from e2i.catalog.artifacts import EffectModel
from e2i.catalog.context import StepContext
from e2i.errors import StepError

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.effect_scoring import EffectScorer, Part
    from e2i.estimators.scoring import Matrix

MANIFEST, FOREST = "manifest.json", "forest.npz"
LIBRARIES = ("numpy", "pandas")
FOREST_LIBRARIES = ("econml", "scikit-learn", *LIBRARIES)
"""What loading a model needs, without a forest and with one."""


class EffectManifest(Struct, frozen=True, kw_only=True):
    """All that is known of an effect model but the arrays of its forest.

    ``features`` are the effect modifiers as ``encoding.encode`` takes them, and ``encoding`` is one of its forms. A
    linear model has the ``coefficients`` of a constant and of each encoded modifier, and their ``covariance``; a forest
    has the SHA-256 of its file, and differences of predictions have their ``parts`` (``effect_scoring.Part.about``).
    ``question`` are the parameters of the step that estimated it, but its table, and ``average`` its answer with the
    standard error. ``example`` are the first rows that it was estimated on.
    """

    estimator: str
    treatment: str
    outcome: str
    control: bool | int | float | str | None
    treated: bool | int | float | str | None
    features: list[dict[str, Any]]
    question: dict[str, Any]
    average: tuple[float, float] = (0.0, 0.0)
    coefficients: list[float] | None = None
    covariance: list[list[float]] | None = None
    forest: str | None = None
    parts: list[dict[str, str]] = []
    sha256: str | None = None
    seed: int = 0
    encoding: str = "one-hot"
    requirements: list[str] = []
    example: list[dict[str, bool | int | float | str | None]] = []
    schema_version: int = 1


class Effects(Struct, frozen=True, eq=False):
    """A fitted effect model in memory. ``native`` is EconML's forest or ``Predictions``; None for a linear model."""

    manifest: EffectManifest
    native: Any = None

    @property
    def scorer(self) -> EffectScorer:
        """The model as it is applied in training and serving."""
        from e2i.estimators import effect_scoring, scoring

        return effect_scoring.EffectScorer(msgspec.to_builtins(self.manifest), self.native, scoring)

    def encode(self, frame: pd.DataFrame) -> Matrix:
        """Return the modifiers of shape (rows, columns), standardised, a column for each category. Raises StepError."""
        from e2i.estimators.scoring import ScoringError

        try:
            return self.scorer.encode(frame)
        except ScoringError as error:
            raise StepError(str(error), code="bad-features") from error

    def effect(self, frame: pd.DataFrame) -> tuple[Matrix, Matrix]:
        """Return the effect on each row and its standard error, both of shape (rows,), in units of the outcome."""
        return self.scorer.of(self.encode(frame))

    def interval(self, frame: pd.DataFrame, level: float) -> tuple[Matrix, Matrix, Matrix]:
        """Return the effect on each row with the bounds of its normal interval, each of shape (rows,)."""
        from e2i.estimators import effect_scoring

        return effect_scoring.interval(*self.effect(frame), level)


def save(model: Effects, folder: Path) -> Path:
    """Write the model's folder, and return it."""
    folder.mkdir(parents=True)
    from e2i.estimators.effect_scoring import Predictions

    native = model.native
    manifest = msgspec.structs.replace(model.manifest, requirements=requirements(model))
    if isinstance(native, Predictions):
        manifest = msgspec.structs.replace(manifest, parts=[_keep(part, folder) for part in native.parts.values()])
    elif native is not None:
        from e2i.estimators.forests import to_arrays

        content = to_arrays(native)
        (folder / FOREST).write_bytes(content)
        manifest = msgspec.structs.replace(manifest, sha256=hashlib.sha256(content).hexdigest())
    text = json.dumps(msgspec.to_builtins(manifest), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return folder


def load(folder: Path) -> Effects:
    """Return the model in a folder. Raises ValueError or OSError when its files are not those that were saved."""
    from e2i.estimators import scoring
    from e2i.estimators.effect_scoring import read_forest, read_parts

    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=EffectManifest)
    if manifest.parts:
        return Effects(manifest, read_parts(folder, manifest.estimator, manifest.parts, scoring))
    return Effects(manifest, read_forest(folder, manifest.forest, manifest.sha256))


def _keep(part: Part, folder: Path) -> dict[str, str]:
    """Write one part as its library does, and return what is known of it with its file."""
    from e2i.estimators.algorithms import of_library
    from e2i.estimators.library import library

    module = library(of_library(part.about["library"]))
    file = folder / f"{part.about['name']}{Path(module.FILE).suffix}"
    module.save(part.native, file)
    return {**part.about, "file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def requirements(model: Effects) -> list[str]:
    """Return the pinned packages that loading a model needs."""
    from importlib.metadata import version

    from e2i.estimators.algorithms import of_library

    names = FOREST_LIBRARIES if model.manifest.forest is not None else LIBRARIES
    own = (name for part in model.manifest.parts for name in of_library(part["library"]).requirements)
    return [f"{name}=={version(name)}" for name in dict.fromkeys((*names, *own))]


def keep_effects(model: Effects, ctx: StepContext, rows: pd.DataFrame) -> EffectModel:
    """Save an effect model in the store, with the first of the ``rows`` that it was estimated on."""
    from e2i.estimators.fitting import example

    first = example(rows, [str(feature["name"]) for feature in model.manifest.features])
    manifest = msgspec.structs.replace(model.manifest, example=first)
    return keep_folder(save(msgspec.structs.replace(model, manifest=manifest), Path(ctx.scratch) / "effects"), ctx)


def keep_folder(folder: Path, ctx: StepContext) -> EffectModel:
    """Keep the folder of an effect model in the store. Raises StepError when its manifest cannot be read."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=EffectManifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise StepError(f"not an effect model: its {MANIFEST} cannot be read ({error})", code="bad-model") from error
    return ctx.keep(
        folder,
        EffectModel,
        estimator=manifest.estimator,
        treatment=manifest.treatment,
        outcome=manifest.outcome,
        features=tuple(str(feature["name"]) for feature in manifest.features),
    )


def open_effects(model: EffectModel, ctx: StepContext) -> Effects:
    """Return a loaded effect model. Raises StepError when its files cannot be read."""
    try:
        return load(ctx.open(model))
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        hint = "estimate it again"
        raise StepError(f"the effect model {model.digest[:19]} cannot be loaded: {error}", hint=hint) from error


def predict(model: EffectModel, frame: pd.DataFrame, ctx: StepContext) -> pd.DataFrame:
    """Return the effect on each row with the bounds of the model's own level: columns effect, lower, upper.

    Raises StepError when the model cannot be loaded, or when the table does not match it.
    """
    from e2i.estimators.scoring import ScoringError

    try:
        return open_effects(model, ctx).scorer.predict(frame)
    except ScoringError as error:
        raise StepError(str(error), code="bad-features") from error
