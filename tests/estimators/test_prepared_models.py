"""Models with recipes answer alike in training, when loaded, and in the copies of a Bento."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bento_copies import served
from e2i.catalog.artifacts import Recipe
from e2i.errors import StepError
from e2i.estimators import fitting, recipes, scoring
from e2i.estimators.algorithms import ALGORITHMS
from e2i.estimators.rounds import EarlyStopping
from learning import FILLED, NUMBER, RECIPES, WHEN, noted, others, table

GRID = [
    pytest.param(algorithm, target, name, marks=[] if (algorithm, target) == first else pytest.mark.sweep)
    for name, first in zip(
        RECIPES,
        [(one, target) for target in ("three", "binary") for one in ("XGBoost", "LightGBM", "CatBoost", "RandomForest")]
        * 2,
        strict=True,
    )
    for algorithm in ALGORITHMS
    for task, targets in (("classification", ("binary", "three")), ("regression", ("amount",)))
    for target in targets
    if task in ALGORITHMS[algorithm].tasks
]


def recipe(*steps: Mapping[str, Any]) -> Any:
    return recipes.steps_of(Recipe(digest="sha256:" + "0" * 64, steps=steps))


def fitted(algorithm: str, target: str, *steps: Mapping[str, Any], **more: Any) -> fitting.Fitted:
    """A model of 200 rows with 60 for validation. LightGBM's smallest leaf is large for so few."""
    frame = noted(table(260))
    size = {name: 8 for name in ("n_estimators", "iterations") if name in ALGORITHMS[algorithm].params}
    prepared = fitting.prepare(
        frame[:200], frame[200:], target, algorithm, exclude=others(target), recipe=recipe(*steps), seed=1
    )
    return fitting.fit(prepared, {**size, **more.pop("params", {})}, seed=7, threads=1, **more)


@pytest.mark.parametrize(("algorithm", "target", "name"), GRID)
def test_a_prepared_model_answers_alike_everywhere(algorithm: str, target: str, name: str, tmp_path: Path) -> None:
    model = fitted(algorithm, target, WHEN, *RECIPES[name])
    held = model.prepared.validation
    assert held is not None
    wanted = model.scorer.output(held.matrix)
    folder = fitting.save(model, tmp_path / "model")
    rows = noted(table(260))[200:][model.scorer.features]
    np.testing.assert_allclose(scoring.load(folder).predict(rows), wanted, rtol=1e-9, atol=1e-9)
    texts = rows.astype({"when": object}).assign(
        when=[None if pd.isna(one) else one.isoformat() for one in rows["when"]]
    )
    body = json.loads(texts.to_json(orient="values", double_precision=15))
    predicted, shares = served(folder, tmp_path / "bento").predict(body)
    found = np.asarray(predicted if shares is None else shares)
    found = found[:, 1] if found.ndim == 2 and wanted.ndim == 1 else found
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def test_equal_work_gives_equal_bytes(tmp_path: Path) -> None:
    steps = (WHEN, FILLED, {"op": "target_encode", "columns": ["kind"]}, {"op": "scale", **NUMBER, "method": "power"})
    folders = [fitting.save(fitted("XGBoost", "three", *steps), tmp_path / name) for name in ("one", "two")]
    assert [path.read_bytes() for path in sorted(folders[0].iterdir())] == [
        path.read_bytes() for path in sorted(folders[1].iterdir())
    ]


def test_early_stopping_works_behind_a_recipe() -> None:
    steps = (WHEN, {"op": "target_encode", "columns": ["kind"]})
    watch = EarlyStopping("log_loss", 5)
    model = fitted("XGBoost", "binary", *steps, watch=watch, params={"n_estimators": 300})
    held = model.prepared.validation
    assert held is not None and watch.keep is not None and watch.keep < 100
    predicted = model.scorer.output(held.matrix)
    loss = -np.log(np.where(held.labels == 1, predicted, 1 - predicted)).mean()
    assert loss == pytest.approx(watch.best, abs=1e-5)


def test_the_manifest_names_the_columns_of_the_table_and_those_of_the_model(tmp_path: Path) -> None:
    model = fitted("RandomForest", "binary", WHEN, {"op": "one_hot", "columns": ["kind"]})
    manifest = json.loads((fitting.save(model, tmp_path / "model") / "manifest.json").read_text("utf-8"))
    assert manifest["schema_version"] == 2
    assert [feature["name"] for feature in manifest["features"]] == ["a", "b", "count", "flag", "kind", "when", "note"]
    made = [feature["name"] for feature in manifest["prepare"]["features"]]
    assert made[:4] == ["a", "b", "count", "flag"] and "when_hour_sin" in made and "kind_missing" in made


def test_rows_that_do_not_match_are_refused_as_without_a_recipe(tmp_path: Path) -> None:
    loaded = scoring.load(fitting.save(fitted("XGBoost", "binary", WHEN, FILLED), tmp_path / "model"))
    rows = noted(table(20))
    with pytest.raises(scoring.ScoringError, match="lacks feature"):
        loaded.predict(rows.drop(columns="kind"))
    with pytest.raises(scoring.ScoringError, match="'a' must be numeric"):
        loaded.predict(rows.assign(a="x"))
    with pytest.raises(scoring.ScoringError, match="'when' must be a time"):
        loaded.predict(rows.assign(when=4))
    with pytest.raises(scoring.ScoringError, match="'kind' was trained on texts"):
        loaded.predict(rows.assign(kind=1))


def test_a_time_that_is_left_over_is_refused() -> None:
    with pytest.raises(StepError, match="when"):
        fitted("XGBoost", "binary", FILLED)
