"""Load, save and apply model artifacts. Out: scorers and predictions, or StepErrors with hints."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from e2i.catalog.artifacts import Model
from e2i.catalog.context import StepContext
from e2i.errors import StepError

if TYPE_CHECKING:
    import pandas as pd

    from e2i.estimators.fitting import Fitted
    from e2i.estimators.manifest import Manifest
    from e2i.estimators.scoring import Matrix, Scorer

MISSING = "count as missing"
RARE = "count as rare ones (one_hot)"
WORDS = "have only words that training saw (tfidf)"
"""Not worth a warning: most texts are new."""
TREATMENTS = {
    "one_hot": "are 0 in every column (one_hot)",
    "target_encode": "get the mean of all training rows (target_encode)",
    "count_encode": "count as 0 rows (count_encode)",
    "hash": "get the column of their hash (hash)",
    "tfidf": WORDS,
    "ordinal": MISSING,
}
"""Operation → what it does with values that training did not see."""


def open_model(model: Model, ctx: StepContext) -> Scorer:
    """Return the loaded model. Raises StepError when its files cannot be read."""
    from e2i.estimators.scoring import ScoringError, load

    try:
        return load(ctx.open(model))
    except ScoringError as error:
        raise StepError(
            f"the model {model.digest[:19]} cannot be loaded: {error}", code="bad-model", hint="train it again"
        ) from error


def keep_model(fitted: Fitted, ctx: StepContext) -> Model:
    """Save a fitted model in the store."""
    from e2i.estimators.fitting import save

    return _keep(save(fitted, Path(ctx.scratch) / "model"), fitted.scorer.manifest, ctx)


def keep_ensemble(folder: Path, manifest: Manifest, ctx: StepContext) -> Model:
    """Save an ensemble in the store, from the folder that it is written to."""
    return _keep(folder, manifest, ctx)


def keep_changed(model: Model, manifest: Manifest, ctx: StepContext, ends: Mapping[str, Model] | None = None) -> Model:
    """Save a model of the store again, with what was fitted after its training in the manifest.

    ``ends``: the folder in it → the model that its intervals lie above or below.
    """
    from e2i.estimators.fitting import write_manifest
    from e2i.estimators.scoring import ENDS

    folder = Path(ctx.scratch) / "model"
    shutil.copytree(ctx.open(model), folder, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns(*ENDS))
    for name, end in (ends or {}).items():
        shutil.copytree(ctx.open(end), folder / name, copy_function=shutil.copyfile)
    version = 5 if "members" in manifest else 4 if ends else 3
    write_manifest(folder, {**manifest, "schema_version": version})
    return _keep(folder, manifest, ctx)


def _keep(folder: Path, manifest: Manifest, ctx: StepContext) -> Model:
    classes = manifest["classes"]
    return ctx.keep(
        folder,
        Model,
        algorithm=manifest["algorithm"],
        task=manifest["task"],
        target=manifest["target"],
        features=tuple(feature["name"] for feature in manifest["features"]),
        classes=None if classes is None else tuple(map(str, classes)),
        calibration=manifest["calibration"]["method"] if "calibration" in manifest else None,
        threshold=manifest.get("threshold"),
        level=manifest["conformal"]["level"] if "conformal" in manifest else None,
    )


def predict(scorer: Scorer, frame: pd.DataFrame) -> Matrix:
    """Return ``scorer.predict``. Raises StepError when the table does not match the model, also when a category feature
    has only values that training did not see, and the model's recipe does not say what becomes of them.
    """
    predicted = predict_part(scorer, frame, strict=True)
    seen = Unseen(scorer)
    seen.add(frame)
    require_seen(seen)
    return predicted


def predict_part(scorer: Scorer, frame: pd.DataFrame, *, strict: bool = False) -> Matrix:
    """Return ``scorer.predict`` of some rows of a table. Raises StepError when they do not match the model."""
    from e2i.estimators.scoring import ScoringError

    try:
        return scorer.predict(frame, strict=strict)
    except ScoringError as error:
        raise StepError(str(error), code="bad-features") from error


def require_seen(seen: Unseen) -> None:
    """Raise StepError when training saw no value of a category feature, and the recipe does not say what becomes of
    them.
    """
    taken = treated(seen.scorer)
    strange = [name for name, share in seen.shares().items() if share == 1.0 and name not in taken]
    if strange:
        values = ", ".join(sorted(seen.examples[strange[0]]))
        raise StepError(
            f"feature {strange[0]!r} has only values that do not occur in the training table: {values}",
            code="unseen-values",
            hint="compare how both tables were read, for example 1 and 01, or other names of the same categories",
        )


def bounds(scorer: Scorer, frame: pd.DataFrame, predicted: Matrix) -> dict[str, Matrix]:
    """Return ``scorer.bounds``. Raises StepError for a model without intervals."""
    from e2i.estimators.scoring import ScoringError

    try:
        return scorer.bounds(frame, predicted)
    except ScoringError as error:
        hint = "fit them with model.conformal, and predict with its model"
        raise StepError(str(error), code="no-intervals", hint=hint) from error


class Unseen:
    """Counts of the values in a table, which may come in parts, that training did not see."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.rows = 0
        self.present = dict.fromkeys(scorer.features, 0)
        self.strange: dict[str, float] = {}
        self.examples: dict[str, set[str]] = {}
        """Up to three of the unseen values of a feature."""

    def add(self, frame: pd.DataFrame) -> None:
        """Count the values of more rows."""
        from e2i.estimators import encoding

        present = {name: int(frame[name].notna().sum()) for name in self.present}
        for name, share in encoding.unseen(frame, self.scorer.manifest["features"]).items():
            self.strange[name] = self.strange.get(name, 0.0) + share * present[name]
            if share == 1.0 and name not in self.examples:
                self.examples[name] = {str(value)[:40] for value in frame[name].dropna().unique()[:3]}
        self.rows += len(frame)
        self.present = {name: count + present[name] for name, count in self.present.items()}

    def shares(self) -> dict[str, float]:
        """Return each category feature's share of unseen values; features without any are left out."""
        return {name: count / self.present[name] for name, count in self.strange.items()}

    def empty(self) -> list[str]:
        """Return the features that are missing in every row."""
        return [name for name, count in self.present.items() if self.rows and not count]


def report_unseen(scorer: Scorer, frame: pd.DataFrame, ctx: StepContext) -> None:
    """Record the shares of unseen values of a table as metrics, and warn of them."""
    seen = Unseen(scorer)
    seen.add(frame)
    report(seen, ctx)


def report(seen: Unseen, ctx: StepContext) -> None:
    """Record the shares of unseen values as metrics, and warn of them."""
    if empty := seen.empty():
        ctx.warn(f"features that are missing in every row: {', '.join(empty[:10])}")
    taken = treated(seen.scorer)
    shares = {name: share for name, share in seen.shares().items() if taken.get(name) != WORDS}
    for name, share in shares.items():
        ctx.metric(f"unseen_{name}", share)
    largest = sorted(shares.items(), key=lambda one: -one[1])
    for what in dict.fromkeys(taken.get(name, MISSING) for name, _ in largest):
        alike = [f"{name} {share:.1%}" for name, share in largest if taken.get(name, MISSING) == what]
        ctx.warn(f"values that training did not see {what}: {', '.join(alike[:10])}")


def treated(scorer: Scorer) -> dict[str, str]:
    """Return what the recipe of a model does with unseen values of a feature, for each that it says it of."""
    found: dict[str, str] = {}
    for member in scorer.members:
        found |= treated(member)
    if "prepare" not in scorer.manifest:
        return found
    for step in scorer.manifest["prepare"]["steps"]:
        for state in step["columns"]:
            what = TREATMENTS.get(step["op"])
            if step["op"] == "one_hot" and state.get("other") is not None:
                what = RARE
            if what is not None:
                found.setdefault(state["name"], what)
    return {name: what for name, what in found.items() if what != MISSING}
