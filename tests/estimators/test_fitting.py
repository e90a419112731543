"""Every algorithm fitted, saved and loaded; equality with the libraries' own classes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost

from e2i.catalog.artifacts import Recipe
from e2i.errors import StepError
from e2i.estimators import encoding, fitting, metrics, recipes, scoring, travelling
from e2i.estimators.algorithms import ALGORITHMS
from e2i.estimators.rounds import EarlyStopping
from learning import NUMERIC, others, table

CASES = [
    (algorithm, target)
    for algorithm, known in sorted(ALGORITHMS.items())
    for target, task in (("binary", "classification"), ("three", "classification"), ("amount", "regression"))
    if task in known.tasks
]


def fitted(algorithm: str, target: str = "binary", threads: int = 2, **params: Any) -> fitting.Fitted:
    frame = table(400)
    sizes = {name: 12 for name in ("n_estimators", "iterations") if name in ALGORITHMS[algorithm].params}
    prepared = fitting.prepare(frame[:300], frame[300:], target, algorithm, exclude=others(target), threads=threads)
    return fitting.fit(prepared, {**sizes, **params}, seed=7, threads=threads)


@pytest.mark.parametrize(("algorithm", "target"), CASES)
def test_a_saved_model_predicts_as_the_fitted_one(algorithm: str, target: str, tmp_path: Path) -> None:
    model = fitted(algorithm, target)
    loaded = scoring.load(fitting.save(model, tmp_path / "model"))
    rows = table(100, seed=5)
    predicted = loaded.predict(rows)
    assert np.array_equal(predicted, model.scorer.predict(rows))
    assert predicted.shape == ((100, 3) if target == "three" else (100,))
    if target != "amount":
        assert ((predicted >= 0) & (predicted <= 1)).all()
    assert loaded.margin(rows).shape == predicted.shape


@pytest.mark.parametrize(("algorithm", "target"), CASES)
def test_equal_fits_give_equal_bytes_on_any_number_of_cores(algorithm: str, target: str, tmp_path: Path) -> None:
    files = []
    for threads in (1, 2):
        folder = fitting.save(fitted(algorithm, target, threads), tmp_path / str(threads))
        files.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert files[0] == files[1]
    assert not any(content[:2] in (b"\x80\x04", b"\x80\x05") for content in files[0].values())


@pytest.mark.parametrize(("algorithm", "target"), CASES)
def test_unknown_and_missing_values_are_scored_alike(algorithm: str, target: str) -> None:
    scorer = fitted(algorithm, target).scorer
    rows = table(50, seed=3)
    some = rows.index % 2 == 0
    unknown = rows.assign(kind=rows["kind"].where(some, "never seen"))
    missing = rows.assign(kind=rows["kind"].where(some, None))
    assert np.array_equal(scorer.predict(unknown), scorer.predict(missing))
    assert 0.4 < encoding.unseen(unknown, scorer.manifest["features"])["kind"] < 0.7
    assert np.isfinite(scorer.predict(rows.assign(a=np.nan))).all()


@pytest.mark.parametrize("kind", [7, 7.0, True], ids=str)
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_numbers_for_a_feature_of_texts_are_refused(algorithm: str, kind: Any) -> None:
    target = "binary" if "classification" in ALGORITHMS[algorithm].tasks else "amount"
    scorer = fitted(algorithm, target).scorer
    with pytest.raises(scoring.ScoringError, match=r"feature 'kind' was trained on texts, and the table has"):
        scorer.predict(table(50, seed=3).assign(kind=kind))


def test_texts_for_a_numeric_feature_are_refused() -> None:
    scorer = fitted("XGBoost").scorer
    for text in ("1.5", "nan", "1_000"):
        with pytest.raises(scoring.ScoringError, match="feature 'a' must be numeric: the table has texts"):
            scorer.predict(table(50, seed=3).assign(a=text))


def test_a_table_with_only_unseen_categories_is_refused_and_a_single_row_is_not() -> None:
    scorer = fitted("XGBoost").scorer
    rows = table(50, seed=3).assign(kind="never seen")
    with pytest.raises(
        scoring.ScoringError, match="has only values that do not occur in the training table: never seen"
    ):
        scorer.predict(rows)
    assert np.isfinite(scorer.predict(rows[:1])).all()


def test_a_validation_table_with_only_unseen_categories_is_refused_unless_a_recipe_treats_them() -> None:
    held = table(60, seed=1).assign(kind="never seen")
    with pytest.raises(StepError, match="has only values that do not occur in the training table: never seen"):
        fitting.prepare(table(200), held, "binary", "XGBoost", exclude=others("binary"))
    steps = recipes.steps_of(Recipe(digest="sha256:" + "0" * 64, steps=[{"op": "one_hot", "columns": ["kind"]}]))
    prepared = fitting.prepare(table(200), held, "binary", "XGBoost", exclude=others("binary"), recipe=steps)
    model = fitting.fit(prepared, {"n_estimators": 5}, seed=1, threads=1)
    assert prepared.validation is not None
    np.testing.assert_array_equal(model.scorer.output(prepared.validation.matrix), model.scorer.predict(held))


@pytest.mark.parametrize(
    ("target", "metric"),
    [("binary", "log_loss"), ("binary", "roc_auc"), ("three", "log_loss"), ("amount", "rmse"), ("amount", "mae")],
)
@pytest.mark.parametrize("patience", [3, 1_000], ids=["stops", "runs out of rounds"])
@pytest.mark.parametrize("algorithm", [name for name, known in sorted(ALGORITHMS.items()) if known.rounds])
def test_early_stopping_returns_the_best_round(
    algorithm: str, target: str, metric: Any, patience: int, tmp_path: Path
) -> None:
    frame = table(400)
    prepared = fitting.prepare(frame[:200], frame[200:], target, algorithm, exclude=others(target), threads=2)
    rounds = "iterations" if algorithm == "CatBoost" else "n_estimators"
    watch = EarlyStopping(metric, patience)
    model = fitting.fit(prepared, {rounds: 60, "learning_rate": 0.5}, seed=7, threads=2, watch=watch)
    loaded = scoring.load(fitting.save(model, tmp_path / "model"))
    assert prepared.validation is not None
    for scorer in (model.scorer, loaded):
        found = metrics.score(metric, prepared.validation.labels, scorer.output(prepared.validation.matrix))
        assert found == pytest.approx(watch.best, rel=1e-4)
    assert watch.best_round < 59


def test_early_stopping_needs_both_classes_in_the_validation_table() -> None:
    frame = table(400)
    held_out = frame[300:]
    prepared = fitting.prepare(
        frame[:300], held_out[held_out["binary"] == 1], "binary", "LightGBM", exclude=others("binary")
    )
    with pytest.raises(StepError, match="rows of one class, so no round can be judged"):
        fitting.fit(prepared, {}, seed=7, threads=1, watch=EarlyStopping("log_loss", 3))


@pytest.mark.parametrize("algorithm", ["CatBoost", "LightGBM", "RandomForest", "XGBoost"])
def test_large_numbers_keep_their_differences(algorithm: str) -> None:
    """Seconds since the epoch differ by less than float32 can tell."""
    random = np.random.default_rng(0)
    seconds = 1_700_000_000 + random.integers(0, 3_600, 2_000)
    amount = random.normal(size=2_000)
    frame = pd.DataFrame({"ts": seconds, "amt": amount, "y": 3 * np.sin((seconds - 1.7e9) / 200) + amount})
    prepared = fitting.prepare(frame[:1_500], frame[1_500:], "y", algorithm)
    model = fitting.fit(prepared, {}, seed=1, threads=2)
    assert prepared.validation is not None
    assert metrics.score("r2", prepared.validation.labels, model.scorer.predict(frame[1_500:])) > 0.8


@pytest.mark.parametrize("algorithm", ["CatBoost", "LightGBM", "XGBoost"])
def test_a_tiny_target_is_learnt_like_a_large_one(algorithm: str, tmp_path: Path) -> None:
    frame = table(400)
    r2 = []
    for factor in (1.0, 2.0**-20):
        scaled = frame.assign(amount=frame["amount"] * factor)
        prepared = fitting.prepare(scaled[:300], scaled[300:], "amount", algorithm, exclude=others("amount"))
        model = fitting.fit(prepared, {}, seed=7, threads=1)
        loaded = scoring.load(fitting.save(model, tmp_path / f"model {factor}"))
        assert prepared.validation is not None
        r2.append(metrics.score("r2", prepared.validation.labels, loaded.predict(scaled[300:])))
    assert r2[0] > 0.5 and r2[1] == pytest.approx(r2[0], abs=0.02)


@pytest.mark.parametrize("algorithm", ["CatBoost", "LightGBM", "XGBoost"])
@pytest.mark.parametrize(("level", "spread"), [(20_240_000, 3), (1.7e9, 600), (1e12, 3), (0, 1e10)], ids=str)
def test_a_target_far_from_zero_is_learnt(algorithm: str, level: float, spread: float, tmp_path: Path) -> None:
    """Dates as numbers, seconds since the epoch: 32 bits do not tell them apart."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.random(600), "z": random.random(600)})
    frame["y"] = level + spread * (frame["x"] + 0.1 * frame["z"])
    prepared = fitting.prepare(frame[:450], frame[450:], "y", algorithm)
    rounds = {"iterations" if algorithm == "CatBoost" else "n_estimators": 200}
    model = fitting.fit(prepared, rounds, seed=1, threads=2)
    loaded = scoring.load(fitting.save(model, tmp_path / "model"))
    assert metrics.score("r2", frame["y"][450:].to_numpy(), loaded.predict(frame[450:])) > 0.95


def test_numbers_for_a_feature_of_truth_values_are_refused() -> None:
    frame = pd.DataFrame({"f": [True, False] * 50, "y": [1, 0] * 50})
    model = fitting.fit(fitting.prepare(frame, None, "y", "XGBoost"), {"n_estimators": 2}, seed=1, threads=1)
    assert np.isfinite(model.scorer.predict(pd.DataFrame({"f": [0, 1, 1]}))).all()
    with pytest.raises(scoring.ScoringError, match="trained on true and false, and the table has other numbers"):
        model.scorer.predict(pd.DataFrame({"f": [0, 1, 2]}))


def test_a_feature_without_values_is_named() -> None:
    frame = pd.DataFrame({"x": np.arange(40.0), "nothing": np.full(40, np.nan), "y": np.arange(40.0) * 2.5})
    assert any(
        "without any value" in one and "nothing" in one for one in fitting.prepare(frame, None, "y", "XGBoost").warnings
    )


@pytest.mark.parametrize("algorithm", ["LightGBM", "Ridge", "XGBoost"])
def test_many_categories_are_kept_and_dropped_ones_are_named(algorithm: str) -> None:
    random = np.random.default_rng(0)
    zips = random.integers(0, 800, 8_000)
    effect = random.normal(size=800)
    frame = pd.DataFrame({"zip": [f"{code:05d}" for code in zips], "y": effect[zips]})
    prepared = fitting.prepare(frame[:6_000], frame[6_000:], "y", algorithm)
    assert prepared.warnings == ()
    if algorithm == "Ridge":
        model = fitting.fit(prepared, {}, seed=1, threads=2)
        assert metrics.score("r2", frame["y"][6_000:].to_numpy(), model.scorer.predict(frame[6_000:])) > 0.95
    limited = fitting.prepare(frame[:6_000], None, "y", algorithm, max_categories=100)
    (warning,) = limited.warnings
    assert "'zip' has 800 categories, and the 100 most frequent are used" in warning


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS.keys() - {"Dummy"}))
def test_every_algorithm_learns_the_signal(algorithm: str) -> None:
    target = "binary" if "classification" in ALGORITHMS[algorithm].tasks else "amount"
    model = fitted(algorithm, target, **({"alpha": 0.01} if algorithm in ("Lasso", "ElasticNet") else {}))
    held_out = model.prepared.validation
    assert held_out is not None
    measured = metrics.evaluate(model.prepared.schema.task, held_out.labels, model.scorer.output(held_out.matrix))
    assert measured.get("roc_auc", 1.0) > 0.7 and measured.get("r2", 1.0) > 0.8


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_xgboost_equals_its_scikit_learn_class(task: str) -> None:
    frame, unseen = table(500), table(200, seed=1)
    params = {"n_estimators": 30, "max_depth": 4, "learning_rate": 0.1, "subsample": 0.7, "colsample_bytree": 0.7}
    target, kind = ("binary", xgboost.XGBClassifier) if task == "classification" else ("amount", xgboost.XGBRegressor)
    plain = kind(tree_method="hist", random_state=11, **params).fit(frame[list(NUMERIC)], frame[target])
    prepared = fitting.prepare(frame, None, target, "XGBoost", features=NUMERIC)
    ours = fitting.fit(prepared, params, seed=11, threads=1).scorer.predict(unseen)
    rows = unseen[list(NUMERIC)]
    theirs = plain.predict_proba(rows)[:, 1] if task == "classification" else plain.predict(rows)
    assert np.abs(ours - theirs).max() <= 1e-9


@pytest.mark.parametrize("algorithm", ["XGBoost", "LightGBM", "CatBoost"])
@pytest.mark.parametrize(("target", "metric"), [("binary", "roc_auc"), ("three", "log_loss"), ("amount", "mae")])
def test_early_stopping_keeps_the_best_round_also_on_disk(
    algorithm: str, target: str, metric: Any, tmp_path: Path
) -> None:
    frame = table(300)
    prepared = fitting.prepare(frame[:150], frame[150:], target, algorithm, exclude=others(target))
    watch = EarlyStopping(metric, 5)
    name = "iterations" if algorithm == "CatBoost" else "n_estimators"
    model = fitting.fit(prepared, {name: 300, "learning_rate": 0.5}, seed=1, threads=1, watch=watch)
    rows = prepared.validation
    assert rows is not None and watch.best_round < 290
    reached = metrics.score(metric, rows.labels, model.scorer.output(rows.matrix))
    assert reached == pytest.approx(watch.best, rel=1e-3)
    loaded = scoring.load(fitting.save(model, tmp_path / "model"))
    assert np.array_equal(loaded.predict(frame), model.scorer.predict(frame))


def test_early_stopping_is_refused_where_there_are_no_rounds() -> None:
    prepared = fitting.prepare(table(100), table(50), "binary", "RandomForest", exclude=others("binary"))
    with pytest.raises(StepError, match="does not train in rounds"):
        fitting.fit(prepared, {}, seed=1, threads=1, watch=EarlyStopping("log_loss", 3))


@pytest.mark.parametrize(
    ("algorithm", "params", "message"),
    [
        ("XGBoost", {"max_dept": 3}, "has no parameter 'max_dept'"),
        ("XGBoost", {"max_depth": -3}, "XGBoost: .*max_depth"),
        ("LightGBM", {"num_leaves": 1}, "LightGBM"),
        ("CatBoost", {"train_dir": "/tmp"}, "has no parameter 'train_dir'"),
        ("CatBoost", {"depth": 99}, "CatBoost"),
        ("RandomForest", {"max_depth": -1}, "RandomForest"),
        ("LogisticRegression", {"C": -1.0}, "LogisticRegression"),
        ("LogisticRegression", {"C": 1e6, "max_iter": 1}, "did not converge in 1 iterations"),
    ],
)
def test_a_wrong_parameter_is_an_error_of_the_step(algorithm: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(StepError, match=message):
        fitted(algorithm, **params)


def test_the_manifest_is_plain_json_with_what_scoring_needs(tmp_path: Path) -> None:
    folder = fitting.save(fitted("LightGBM", "three"), tmp_path / "model")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["schema_version"] == 1
    assert manifest["classes"] == ["high", "low", "middle"]
    assert [feature["kind"] for feature in manifest["features"]] == ["number"] * 4 + ["category"]
    assert [feature["type"] for feature in manifest["features"]] == ["double", "double", "int64", "bool", "string"]
    assert manifest["requirements"][0].startswith("lightgbm==")
    assert len(manifest["example"]) == 5 and manifest["params"] == {"n_estimators": 12}


def test_scoring_stands_alone(tmp_path: Path) -> None:
    steps = ({"op": "one_hot", "types": ["text"]}, {"op": "scale", "columns": ["a"]})
    recipe = recipes.steps_of(Recipe(digest="sha256:" + "0" * 64, steps=steps))
    prepared = fitting.prepare(table(400), None, "binary", "XGBoost", exclude=others("binary"), recipe=recipe)
    model = fitting.fit(prepared, {"n_estimators": 12}, seed=7, threads=1)
    fitting.save(model, tmp_path / "model")
    for module, file in travelling.files().items():
        (tmp_path / f"{module}.py").write_bytes(file.read_bytes())
    script = (
        "import json, sys, pandas, scoring\n"
        "model = scoring._load_pyfunc('model')\n"
        "rows = pandas.DataFrame(model.scorer.manifest['example'])\n"
        "assert not any(name.split('.')[0] == 'e2i' for name in sys.modules)\n"
        "print(json.dumps(model.predict(rows).tolist()))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env={}, capture_output=True, check=True)
    assert np.allclose(json.loads(done.stdout), model.scorer.predict(table(400)[:5]), rtol=0, atol=1e-9)


def corrupt(algorithm: str, folder: Path, **manifest: Any) -> Path:
    """A saved model whose file was cut off; ``manifest`` is changed too."""
    fitting.save(fitted(algorithm), folder)
    about = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    file = folder / about["file"]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    about |= {key: digest if value == "as it is" else value for key, value in manifest.items()}
    (folder / "manifest.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


@pytest.mark.parametrize("algorithm", ["XGBoost", "LightGBM", "CatBoost", "RandomForest"])
def test_a_corrupt_file_never_reaches_the_library(algorithm: str, tmp_path: Path) -> None:
    with pytest.raises(scoring.ScoringError, match="is corrupt"):
        scoring.load(corrupt(algorithm, tmp_path / "model"))


@pytest.mark.parametrize("algorithm", ["XGBoost", "CatBoost", "RandomForest"])
def test_a_file_that_the_library_refuses_is_an_error_of_scoring(algorithm: str, tmp_path: Path) -> None:
    with pytest.raises(scoring.ScoringError, match="is not a model that"):
        scoring.load(corrupt(algorithm, tmp_path / "model", sha256="as it is"))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(scoring.ScoringError, match="is not a saved model"):
        scoring.load(tmp_path)
    with pytest.raises(scoring.ScoringError, match="schema version 6"):
        scoring.load(corrupt("XGBoost", tmp_path / "model", schema_version=6))
