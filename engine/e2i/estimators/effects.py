"""Effect models: what a treatment changes for each row. In: a folder, or fitted parameters. Out: effects and intervals.

A folder has ``manifest.json`` and, for a forest, ``forest.npz``: numbers alone, no pickle (ADR 51).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from e2i.catalog.artifacts import EffectModel
from e2i.catalog.context import StepContext
from e2i.errors import StepError
from e2i.estimators.forests import from_arrays, to_arrays

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.scoring import Matrix

MANIFEST, FOREST = "manifest.json", "forest.npz"


class EffectManifest(Struct, frozen=True, kw_only=True):
    """All that is known of an effect model but the arrays of its forest.

    ``features`` are the effect modifiers as ``scoring.encode`` takes them. A linear model has the ``coefficients`` of a
    constant and of each encoded modifier, and their ``covariance``; a forest has the SHA-256 of its file. ``question``
    are the parameters of the step that estimated it, but its table, and ``average`` its answer with the standard error.
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
    sha256: str | None = None
    seed: int = 0
    schema_version: int = 1


class Effects(Struct, frozen=True, eq=False):
    """A fitted effect model in memory. ``native`` is EconML's forest; None for a linear model."""

    manifest: EffectManifest
    native: Any = None

    def encode(self, frame: pd.DataFrame) -> Matrix:
        """Return the modifiers of shape (rows, columns), standardised, a column for each category. Raises StepError."""
        import numpy as np

        from e2i.estimators.scoring import ScoringError, encode

        if not self.manifest.features:
            return np.empty((len(frame), 0))
        try:
            encoded: Matrix = encode(frame, self.manifest.features, "one-hot")  # type: ignore[arg-type]
        except ScoringError as error:
            raise StepError(str(error), code="bad-features") from error
        return encoded

    def effect(self, frame: pd.DataFrame) -> tuple[Matrix, Matrix]:
        """Return the effect on each row and its standard error, both of shape (rows,), in units of the outcome."""
        import numpy as np

        rows = self.encode(frame)
        if self.native is not None:
            point, variance = self.native.predict_and_var(rows)
            return point[:, 0], np.sqrt(variance[:, 0, 0])
        design = np.column_stack([np.ones(len(rows)), rows])
        spread = np.einsum("ij,jk,ik->i", design, np.asarray(self.manifest.covariance), design)
        return design @ np.asarray(self.manifest.coefficients), np.sqrt(np.maximum(spread, 0.0))

    def interval(self, frame: pd.DataFrame, level: float) -> tuple[Matrix, Matrix, Matrix]:
        """Return the effect on each row with the bounds of its normal interval, each of shape (rows,)."""
        point, error = self.effect(frame)
        half = NormalDist().inv_cdf((1 + level) / 2) * error
        return point, point - half, point + half


def save(model: Effects, folder: Path) -> Path:
    """Write the model's folder, and return it."""
    folder.mkdir(parents=True)
    manifest = model.manifest
    if model.native is not None:
        content = to_arrays(model.native)
        (folder / FOREST).write_bytes(content)
        manifest = msgspec.structs.replace(manifest, sha256=hashlib.sha256(content).hexdigest())
    text = json.dumps(msgspec.to_builtins(manifest), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return folder


def load(folder: Path) -> Effects:
    """Return the model in a folder. Raises ValueError or OSError when its files are not those that were saved."""
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=EffectManifest)
    if manifest.forest is None:
        return Effects(manifest)
    content = (folder / FOREST).read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest.sha256:
        raise ValueError(f"{FOREST} is not the file that was saved")
    return Effects(manifest, from_arrays(content, manifest.forest))


def keep_effects(model: Effects, ctx: StepContext) -> EffectModel:
    """Save an effect model in the store."""
    manifest = model.manifest
    return ctx.keep(
        save(model, Path(ctx.scratch) / "effects"),
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
