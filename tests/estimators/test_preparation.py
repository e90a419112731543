"""Operations of recipes against scikit-learn, on random tables with missing, unseen and rare values."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import (
    compose,
    decomposition,
    feature_extraction,
    feature_selection,
    impute,
    model_selection,
    preprocessing,
)

from e2i.catalog.artifacts import Recipe
from e2i.errors import StepError
from e2i.estimators import preparation, recipes, schema

NUMBERS = ["x", "y", "few"]
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.sweep) for seed in range(1, 30))]


def rows(seed: int, count: int = 300, *, strange: bool = False) -> pd.DataFrame:
    """Numbers, texts and times with missing and rare values; with values that others have not, if ``strange``."""
    r = np.random.default_rng(seed)
    size = r.lognormal(1, 2)
    frame = pd.DataFrame(
        {
            "x": r.normal(size=count) * size + r.normal() * 10,
            "y": r.exponential(size=count) * size,
            "few": r.integers(0, 5, count).astype(float),
            "kind": r.choice(["a", "b", "c d", "é", "rare", "less"], count, p=[0.4, 0.3, 0.2, 0.06, 0.02, 0.02]),
            "text": [
                " ".join(r.choice(["red", "green", "Blue", "red-ish", "x"], r.integers(0, 6))) for _ in range(count)
            ],
            "when": pd.Timestamp("2023-12-25") + pd.to_timedelta(r.integers(0, 10**8, count), unit="s"),
        }
    )
    for name in ("x", "few", "kind", "text", "when"):
        frame.loc[r.random(count) < 0.1, name] = None
    frame["target"] = r.normal(size=count) + 2 * (frame["kind"] == "a")
    if strange:
        frame.loc[::7, "kind"] = "unseen"
        frame.loc[::11, ["x", "y"]] = [1e6, 50.0]
        frame.loc[::9, "few"] = 77.0
        frame.loc[::5, "text"] = "purple red red"
    return frame


def goal(frame: pd.DataFrame, task: str = "binary", seed: int = 3) -> preparation.Target:
    values = frame["target"].to_numpy()
    if task == "regression":
        return preparation.Target("target", values, None, seed)
    cuts = [1.0] if task == "binary" else [0.5, 2.0]
    return preparation.Target("target", np.digitize(values, cuts), ("low", "middle", "high")[: len(cuts) + 1], seed)


def fit(
    frame: pd.DataFrame, steps: Sequence[Mapping[str, Any]], names: Sequence[str], task: str = "binary"
) -> tuple[preparation.Preparation, pd.DataFrame]:
    """The preparation after it was written as JSON, and the training rows."""
    features = schema.inputs(frame, "target", names, ())
    operations = recipes.steps_of(Recipe(digest="sha256:" + "0" * 64, steps=list(steps)))
    fitted, prepared = preparation.fit(frame, features, operations, goal(frame, task))
    written = json.loads(json.dumps(list(fitted.steps), allow_nan=False))
    return preparation.Preparation(fitted.features, tuple(written)), prepared


def same(found: pd.DataFrame, wanted: Any) -> None:
    wanted = np.asarray(wanted, dtype=np.float64).reshape(len(found), -1)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.to_numpy(dtype=np.float64), wanted, rtol=1e-9, atol=1e-9)


def discrete(frame: pd.DataFrame, **settings: Any) -> Any:
    """scikit-learn's bins, which take no missing values: those are put back."""
    bins = {}
    for name in NUMBERS:
        made = preprocessing.KBinsDiscretizer(encode="ordinal", subsample=None, **settings)
        bins[name] = made.fit(frame[[name]].dropna().to_numpy())

    def transform(rows: pd.DataFrame) -> Any:
        columns = []
        for name in NUMBERS:
            present = rows[name].notna().to_numpy()
            values = np.full(len(rows), np.nan)
            values[present] = bins[name].transform(rows.loc[present, [name]].to_numpy())[:, 0]
            columns.append(values)
        return np.column_stack(columns)

    return transform


SCALERS: dict[str, Any] = {
    "standard": preprocessing.StandardScaler,
    "robust": preprocessing.RobustScaler,
    "power": preprocessing.PowerTransformer,
    "quantile": lambda: preprocessing.QuantileTransformer(n_quantiles=250, subsample=None),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # scikit-learn's, of few different values
@pytest.mark.parametrize("seed", SEEDS)
def test_operations_on_numbers_are_those_of_scikit_learn(seed: int) -> None:
    train, new = rows(seed), rows(seed + 1_000, 120, strange=True)
    for strategy, named in (("median", "median"), ("mean", "mean"), ("mode", "most_frequent")):
        oracle = impute.SimpleImputer(strategy=named).fit(train[NUMBERS])
        fitted, prepared = fit(train, [{"op": "impute", "types": ["number"], "strategy": strategy}], NUMBERS)
        same(prepared, oracle.transform(train[NUMBERS]))
        same(fitted.apply(new), oracle.transform(new[NUMBERS]))
    for method, make in SCALERS.items():
        fitted, prepared = fit(train, [{"op": "scale", "types": ["number"], "method": method}], NUMBERS)
        for name in NUMBERS:
            present = train[[name]].dropna().to_numpy()
            oracle = make().set_params(n_quantiles=len(present)) if method == "quantile" else make()
            same(prepared[[name]], oracle.fit(present).transform(train[[name]].to_numpy()))
            same(fitted.apply(new)[[name]], oracle.transform(new[[name]].to_numpy()))
    for method in ("quantile", "uniform"):
        settings = {"n_bins": 4, "strategy": method}
        fitted, prepared = fit(train, [{"op": "bin", "types": ["number"], "bins": 4, "method": method}], NUMBERS)
        transform = discrete(train, **settings)
        same(prepared, transform(train))
        same(fitted.apply(new), transform(new))
        splines = preprocessing.SplineTransformer(6, degree=3, knots=method)
        fitted, _ = fit(train, [{"op": "spline", "columns": ["y"], "knots": 6, "method": method}], ["y"])
        same(fitted.apply(new), splines.fit(train[["y"]].to_numpy()).transform(new[["y"]].to_numpy()))
    fitted, _ = fit(train, [{"op": "clip", "types": ["number"], "quantiles": [0.1, 0.9]}], NUMBERS)
    low, high = np.nanquantile(train[NUMBERS], [0.1, 0.9], axis=0)
    same(fitted.apply(new), np.clip(new[NUMBERS], low, high))


def encoders() -> dict[str, tuple[Mapping[str, Any], Any]]:
    hot = preprocessing.OneHotEncoder
    ordinal = preprocessing.OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
    )
    about = {"handle_unknown": "infrequent_if_exist", "sparse_output": False}
    return {
        "one_hot": ({}, hot(**about)),
        "rare": ({"op": "one_hot", "min_frequency": 25}, hot(min_frequency=25, **about)),
        "share": ({"op": "one_hot", "min_frequency": 0.1}, hot(min_frequency=0.1, **about)),
        "zero": ({"op": "one_hot", "unknown": "zero"}, hot(handle_unknown="ignore", sparse_output=False)),
        "ordinal": ({}, ordinal),
    }


@pytest.mark.filterwarnings("ignore:Found unknown categories:UserWarning")
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["kind", "few"])
def test_encoders_are_those_of_scikit_learn(seed: int, name: str) -> None:
    train, new = rows(seed), rows(seed + 1_000, 120, strange=True)
    one, two = train[[name]], new[[name]]
    if name == "kind":  # to scikit-learn's ordinal encoder, only NaN is missing
        one, two = (frame.astype(object).where(frame.notna(), np.nan) for frame in (one, two))
    for operation, (settings, oracle) in encoders().items():
        fitted, prepared = fit(train, [{"op": operation, "columns": [name], **settings}], [name])
        oracle.fit(one.to_numpy())
        same(prepared, oracle.transform(one.to_numpy()))
        same(fitted.apply(new), oracle.transform(two.to_numpy()))
    counts = train[name].value_counts(dropna=False)
    fitted, _ = fit(train, [{"op": "count_encode", "columns": [name]}], [name])
    missing = int(train[name].isna().sum())
    same(
        fitted.apply(new),
        new[name].map(counts.drop(np.nan, errors="ignore")).where(new[name].notna(), missing).fillna(0),
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("smooth", ["auto", 10.0])
def test_target_encoding_is_that_of_scikit_learn_and_cross_fitted(seed: int, task: str, smooth: Any) -> None:
    train, new = rows(seed), rows(seed + 1_000, 120, strange=True)
    target = goal(train, task)
    step = {"op": "target_encode", "columns": ["kind"], "smooth": smooth}
    fitted, prepared = fit(train, [step], ["kind"], task)
    kind = {"regression": "continuous"}.get(task, task)
    folds = model_selection.KFold if task == "regression" else model_selection.StratifiedKFold
    cv = folds(5, shuffle=True, random_state=target.seed)
    oracle = preprocessing.TargetEncoder(target_type=kind, smooth=smooth, cv=cv)
    texts = [frame[["kind"]].astype(object).to_numpy() for frame in (train, new)]
    same(prepared, oracle.fit_transform(texts[0], target.labels))
    same(fitted.apply(new), oracle.transform(texts[1]))
    assert (prepared.to_numpy() != fitted.apply(train).to_numpy()).any()


def test_times_are_split_into_parts() -> None:
    train = rows(1)
    parts = ["year", "quarter", "month", "week", "day", "weekday", "day_of_year", "hour", "minute"]
    _, prepared = fit(train, [{"op": "dates", "columns": ["when"], "parts": [*parts, "days"]}], ["when"])
    times = train["when"].dt
    wanted = [getattr(times, part) if part != "week" else times.isocalendar()["week"].astype(float) for part in parts]
    same(prepared, np.column_stack([*wanted, (train["when"] - pd.Timestamp(0)) / pd.Timedelta(days=1)]))
    cyclic, _ = fit(train, [{"op": "dates", "columns": ["when"], "parts": ["month"], "cyclic": True}], ["when"])
    found = cyclic.apply(train.assign(when=train["when"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")))
    angle = 2 * np.pi * (times.month - 1) / 12
    same(found, np.column_stack([np.sin(angle), np.cos(angle)]))
    texts = train.assign(when=train["when"].map(lambda time: None if pd.isna(time) else time.isoformat()))
    pd.testing.assert_frame_equal(cyclic.apply(texts), found)


@pytest.mark.parametrize("seed", SEEDS)
def test_words_are_weighed_as_by_scikit_learn(seed: int) -> None:
    train, new = rows(seed), rows(seed + 1_000, 80, strange=True)
    plain = feature_extraction.text.TfidfVectorizer(max_features=3)
    one, two = (frame["text"].fillna("").to_list() for frame in (train, new))
    fitted, prepared = fit(train, [{"op": "tfidf", "columns": ["text"], "words": 3, "components": None}], ["text"])
    same(prepared, plain.fit_transform(one).toarray())
    same(fitted.apply(new), plain.transform(two).toarray())
    every = feature_extraction.text.TfidfVectorizer().fit(one)
    present = every.transform(train["text"].fillna(""))[train["text"].notna().to_numpy()]
    main = decomposition.TruncatedSVD(2, random_state=goal(train).seed).fit(present)
    reduced, few = fit(train, [{"op": "tfidf", "columns": ["text"], "components": 2}], ["text"])
    assert list(few.columns) == ["text_svd_0", "text_svd_1"]
    same(few, main.transform(every.transform(one)))
    same(reduced.apply(new), main.transform(every.transform(two)))
    assert (reduced.apply(new)[new["text"].isna()] == 0).all(axis=None)
    hashed, _ = fit(train, [{"op": "hash", "columns": ["kind"], "size": 8}], ["kind"])
    own = [[0.0] * 8 if pd.isna(kind) else np.eye(8)[zlib.crc32(kind.encode()) % 8] for kind in new["kind"]]
    same(hashed.apply(new), own)


@pytest.mark.parametrize("seed", SEEDS)
def test_columns_are_multiplied_and_chosen_as_by_scikit_learn(seed: int) -> None:
    train = rows(seed).fillna({"x": 0.0, "few": 0.0})
    new = rows(seed + 1_000, 120, strange=True)
    products = preprocessing.PolynomialFeatures(2, interaction_only=True, include_bias=False)
    _, prepared = fit(train, [{"op": "interact", "columns": NUMBERS}], NUMBERS)
    same(prepared, products.fit_transform(train[NUMBERS]))
    values = train[NUMBERS].to_numpy()
    for task, f, information in (
        ("binary", feature_selection.f_classif, feature_selection.mutual_info_classif),
        ("regression", feature_selection.f_regression, feature_selection.mutual_info_regression),
    ):
        labels = goal(train, task).labels
        for score, scores in (
            ("f", f(values, labels)[0]),
            ("mutual_information", information(values, labels, random_state=3)),
        ):
            _, prepared = fit(train, [{"op": "select", "k": 2, "score": score}], NUMBERS, task)
            assert list(prepared.columns) == [NUMBERS[place] for place in sorted(np.argsort(-scores)[:2])]
    logs = preprocessing.FunctionTransformer(np.log1p)
    fitted, prepared = fit(train, [{"op": "log", "columns": ["y", "few"]}], ["y", "few"])
    same(prepared, logs.fit_transform(train[["y", "few"]]))
    same(fitted.apply(new), logs.transform(new[["y", "few"]]))
    constant = train.assign(x=1.0, kind="a")
    _, prepared = fit(constant, [{"op": "drop_constant"}], [*NUMBERS, "kind"])
    kept = feature_selection.VarianceThreshold().fit(constant[NUMBERS]).get_support()
    assert list(prepared.columns) == [name for name, is_kept in zip(NUMBERS, kept, strict=True) if is_kept]


@pytest.mark.parametrize("seed", SEEDS)
def test_texts_are_imputed_and_gaps_indicated_as_by_scikit_learn(seed: int) -> None:
    train, new = rows(seed), rows(seed + 1_000, 120, strange=True)
    one, two = (frame[["kind"]].astype(object).where(frame[["kind"]].notna(), np.nan) for frame in (train, new))
    for strategy, named, more in (("mode", "most_frequent", {}), ("constant", "constant", {"value": "none"})):
        oracle = impute.SimpleImputer(strategy=named, fill_value=more.get("value")).fit(one)
        step = {"op": "impute", "columns": ["kind"], "strategy": strategy, **more}
        fitted, _ = fit(train, [step], ["kind"])
        assert fitted.apply(new)["kind"].tolist() == oracle.transform(two)[:, 0].tolist()
    fitted, _ = fit(train, [{"op": "impute", "columns": ["x", "few"], "indicator": True}], ["x", "few"])
    gaps = impute.MissingIndicator(features="all").fit(train[["x", "few"]])
    same(fitted.apply(new)[["x_missing", "few_missing"]], gaps.transform(new[["x", "few"]]))


def test_a_whole_recipe_is_a_pipeline_of_scikit_learn() -> None:
    train, new = rows(5), rows(6, 100, strange=True)
    steps = [
        {"op": "impute", "columns": ["x", "few"], "indicator": True},
        {"op": "clip", "columns": ["y"], "low": 0.5},
        {"op": "log", "columns": ["y"]},
        {"op": "one_hot", "columns": ["kind"]},
        {"op": "scale", "columns": ["x", "y"]},
    ]
    fitted, _ = fit(train, steps, ["x", "y", "few", "kind"])
    found = fitted.apply(new)
    hot = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    oracle = compose.make_column_transformer((impute.SimpleImputer(strategy="median"), ["x"]), (hot, ["kind"]))
    texts = [frame.assign(kind=frame["kind"].astype(object)) for frame in (train, new)]
    wanted = oracle.fit(texts[0]).transform(texts[1])
    filled = train["x"].fillna(train["x"].median())
    same(found[["x"]], (wanted[:, 0] - filled.mean()) / filled.std(ddof=0))
    same(found[[name for name in found.columns if name.startswith("kind_")]], wanted[:, 1:])
    assert found["x_missing"].tolist() == new["x"].isna().astype(float).tolist()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"op": "scale", "columns": ["kind"]}, "step 1 of the recipe, scale: 'kind' is a text, not a number"),
        ({"op": "scale", "columns": ["z"]}, "there is no feature 'z'"),
        ({"op": "log", "columns": ["x"]}, "no logarithm"),
        ({"op": "select", "k": 1}, "impute them first"),
        ({"op": "impute", "columns": ["kind"]}, "texts, which have no median"),
        ({"op": "impute", "columns": ["x"], "strategy": "constant", "value": "?"}, "'x' has numbers"),
        ({"op": "one_hot", "columns": ["target"]}, "'target' is the target"),
        ({"op": "interact", "columns": ["x"]}, "a product needs two columns"),
    ],
)
def test_a_recipe_that_does_not_fit_names_its_operation(step: Mapping[str, Any], message: str) -> None:
    with pytest.raises(StepError, match=message):
        fit(rows(0), [step], [*NUMBERS, "kind"])


def test_columns_are_counted_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "MOST_CELLS", 300 * 40)
    made = []
    monkeypatch.setattr("e2i.estimators.preparing.apply", lambda *given: made.append(given) or {})
    with pytest.raises(StepError, match="makes 64 columns of 300 rows") as error:
        fit(rows(0), [{"op": "hash", "columns": ["kind"], "size": 64}], ["kind"])
    assert "a smaller `size`" in (error.value.hint or "") and made == []


def test_unseen_values_can_be_refused() -> None:
    fitted, _ = fit(rows(0), [{"op": "one_hot", "columns": ["kind"], "unknown": "fail"}], ["kind"])
    with pytest.raises(StepError, match="training did not see: unseen"):
        fitted.apply(rows(0, strange=True))


def test_rows_of_one_group_do_not_encode_each_other() -> None:
    frame = rows(0)
    groups = np.arange(len(frame)) // 3
    target = preparation.Target("target", goal(frame).labels, ("low", "high"), 3, groups)
    operations = recipes.steps_of(
        Recipe(digest="sha256:" + "0" * 64, steps=[{"op": "target_encode", "columns": ["kind"], "smooth": 0.0}])
    )
    _, prepared = preparation.fit(frame, schema.inputs(frame, "target", ["kind"], ()), operations, target)
    encoded = prepared["kind"].groupby([groups, frame["kind"].fillna("")]).nunique()
    assert encoded.max() == 1, "rows of one group are in one fold, and so have one encoding for one value"
