"""``SHAPExplainer`` against the libraries' real models and shap's reference explainers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import shap
import xgboost
from sklearn import ensemble, linear_model, neighbors, svm, tree
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from e2i.errors import ToolUnavailable
from e2i.mlops.shap import SHAPConfig, SHAPExplainer

ROWS = 240
NAMES = ["calls", "samples", "tenure", "share"]
QUIET: dict[str, Any] = {"verbose": False, "allow_writing_files": False}
TREES: dict[str, Callable[[bool], Any]] = {
    "xgboost": lambda c: (xgboost.XGBClassifier if c else xgboost.XGBRegressor)(n_estimators=8, max_depth=3),
    "lightgbm": lambda c: (lightgbm.LGBMClassifier if c else lightgbm.LGBMRegressor)(n_estimators=8, verbosity=-1),
    "catboost": lambda c: (catboost.CatBoostClassifier if c else catboost.CatBoostRegressor)(iterations=8, **QUIET),
    "tree": lambda c: (tree.DecisionTreeClassifier if c else tree.DecisionTreeRegressor)(max_depth=4),
    "forest": lambda c: (ensemble.RandomForestClassifier if c else ensemble.RandomForestRegressor)(8, random_state=0),
    "extra": lambda c: (ensemble.ExtraTreesClassifier if c else ensemble.ExtraTreesRegressor)(8, random_state=0),
    "boosting": lambda c: (ensemble.GradientBoostingClassifier if c else ensemble.GradientBoostingRegressor)(
        n_estimators=8
    ),
    "histogram": lambda c: (ensemble.HistGradientBoostingClassifier if c else ensemble.HistGradientBoostingRegressor)(
        max_iter=8
    ),
}
LINEAR: dict[str, Any] = {
    "logistic": linear_model.LogisticRegression(),
    "ridge classifier": linear_model.RidgeClassifier(),
    "sgd": linear_model.SGDClassifier(random_state=0),
    "linear svc": svm.LinearSVC(),
    "ridge": linear_model.Ridge(),
    "lasso": linear_model.Lasso(alpha=0.01),
    "elastic net": linear_model.ElasticNet(alpha=0.01),
    "least squares": linear_model.LinearRegression(),
}


def table() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(0).normal(size=(ROWS, 4)), columns=NAMES)


def target(kind: str) -> Any:
    signal = (table().calls + table().samples * table().tenure).to_numpy()
    return {
        "binary": (signal > 0).astype(int),
        "texts": np.where(signal > 0, "yes", "no"),
        "three": np.digitize(signal, [-0.7, 0.7]),
        "amount": signal + 10,
    }[kind]


def margin_of(model: Any, rows: Any) -> Any:
    """Return what the values must add up to, by the library's own functions."""
    if isinstance(model, xgboost.XGBModel):
        return model.predict(rows, output_margin=True)
    if isinstance(model, lightgbm.LGBMModel):
        return model.predict(rows, raw_score=True)
    if isinstance(model, catboost.CatBoost):
        return model.predict(rows, prediction_type="RawFormulaVal")
    if isinstance(model, ensemble.RandomForestClassifier | ensemble.ExtraTreesClassifier | tree.DecisionTreeClassifier):
        found = model.predict_proba(rows)
        return found[:, 1] if found.shape[1] == 2 else found
    return (model.decision_function if hasattr(model, "decision_function") else model.predict)(rows)


def reference(model: Any, rows: pd.DataFrame) -> Any:
    """Return the values of shap's own explainer of trees, of the positive class."""
    explained = model.get_booster() if isinstance(model, xgboost.XGBModel) else model
    found = np.asarray(shap.TreeExplainer(explained).shap_values(rows, check_additivity=False))
    return found[..., 1] if found.ndim == 3 and found.shape[2] == 2 else found


@pytest.fixture
def explainer(workspace: Path) -> SHAPExplainer:
    return SHAPExplainer()


@pytest.mark.parametrize("kind", ["binary", "texts", "three", "amount"])
@pytest.mark.parametrize("family", sorted(TREES))
def test_trees_have_the_values_of_shaps_explainer_and_add_up(family: str, kind: str, explainer: SHAPExplainer) -> None:
    if (family, kind) == ("xgboost", "texts"):  # it takes no texts as labels
        return
    frame = table()
    model = TREES[family](kind != "amount").fit(frame, target(kind))
    rows = frame[:40]
    values, expected = explainer.compute_shap_values(model, rows)
    assert values.shape == ((40, 4, 3) if kind == "three" else (40, 4))
    assert isinstance(expected, float) if kind != "three" else np.shape(expected) == (3,)
    assert np.abs(values.sum(axis=1) + expected - margin_of(model, rows)).max() < 1e-4
    if (family, kind) == ("boosting", "three"):  # shap refuses the model as a whole, and reads the trees of one class
        for place in range(3):
            one = ensemble.GradientBoostingRegressor(n_estimators=8).fit(frame, target("amount"))
            one.estimators_ = model.estimators_[:, [place]]
            assert np.abs(values[:, :, place] - reference(one, rows)).max() < 1e-5
        return
    assert np.abs(values - reference(model, rows)).max() < 1e-5


@pytest.mark.parametrize("kind", ["binary", "three", "amount"])
@pytest.mark.parametrize("family", sorted(TREES))
def test_interactions_sum_to_the_values(family: str, kind: str, explainer: SHAPExplainer) -> None:
    model = TREES[family](kind != "amount").fit(table(), target(kind))
    rows = table()[:6]
    found = explainer.compute_interactions(model, rows)
    values, _ = explainer.compute_shap_values(model, rows)
    assert found.shape == ((6, 4, 4, 3) if kind == "three" else (6, 4, 4))
    assert np.abs(found.sum(axis=2) - values).max() < 1e-4
    assert np.abs(found - found.swapaxes(1, 2)).max() < 1e-4
    if (family, kind) == ("boosting", "three"):
        return
    native = model.get_booster() if isinstance(model, xgboost.XGBModel) else model
    shaps = np.asarray(shap.TreeExplainer(native).shap_interaction_values(rows))
    shaps = np.moveaxis(shaps, 0, -1) if shaps.ndim == 4 and len(shaps) == 3 else shaps  # CatBoost: classes first
    shaps = shaps[..., 1] if shaps.ndim == 4 and shaps.shape[3] == 2 else shaps
    assert np.abs(found - shaps).max() < 1e-5


@pytest.mark.parametrize("kind", ["binary", "three", "amount"])
@pytest.mark.parametrize("name", sorted(LINEAR))
def test_linear_models_have_the_values_of_shaps_explainer(name: str, kind: str, explainer: SHAPExplainer) -> None:
    if (kind != "amount") != hasattr(LINEAR[name], "decision_function"):
        return
    model = LINEAR[name].fit(table(), target(kind))
    values, expected = explainer.compute_shap_values(model, table())
    masker = shap.maskers.Independent(table(), max_samples=ROWS)
    theirs = shap.LinearExplainer(model, masker)
    assert np.abs(values - np.asarray(theirs.shap_values(table()))).max() < 1e-5
    assert np.allclose(expected, np.ravel(theirs.expected_value), atol=1e-5)
    assert np.abs(values.sum(axis=1) + expected - margin_of(model, table())).max() < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["binary", "three"])
@pytest.mark.parametrize("model", [neighbors.KNeighborsClassifier(), ensemble.AdaBoostClassifier(n_estimators=3)])
def test_other_models_have_the_exact_values_against_the_background(
    model: Any, kind: str, explainer: SHAPExplainer
) -> None:
    model.fit(table(), target(kind))
    rows = table()[:120]
    values, expected = explainer.compute_shap_values(model, rows)
    again, _ = explainer.compute_shap_values(model, rows)
    assert (values == again).all()
    assert values.shape == ((120, 4) if kind == "binary" else (120, 4, 3))
    chosen = rows.to_numpy()[np.sort(np.random.default_rng(0).choice(120, 100, replace=False))]
    predict = lambda X: model.predict_proba(pd.DataFrame(X, columns=NAMES))  # noqa: E731, N803
    theirs = shap.KernelExplainer(predict, chosen).shap_values(rows[:5].to_numpy(), nsamples=64, silent=True)
    theirs = theirs[..., 1] if kind == "binary" else theirs
    assert np.abs(values[:5] - theirs).max() < 1e-5
    assert np.allclose(expected, predict(chosen).mean(axis=0)[1] if kind == "binary" else predict(chosen).mean(axis=0))


def test_many_features_are_explained_by_permutations_that_the_seed_chooses(workspace: Path) -> None:
    r = np.random.default_rng(0)
    wide = r.normal(size=(60, 12))
    model = neighbors.KNeighborsRegressor().fit(wide, wide[:, 0])
    state = str(np.random.get_state())
    values, expected = SHAPExplainer().compute_shap_values(model, wide[:4])
    again, _ = SHAPExplainer(SHAPConfig(seed=0)).compute_shap_values(model, wide[:4])
    other, _ = SHAPExplainer(SHAPConfig(seed=1)).compute_shap_values(model, wide[:4])
    assert np.allclose(values.sum(axis=1) + expected, model.predict(wide[:4]))
    assert (values == again).all() and not (values == other).all()
    assert str(np.random.get_state()) == state


def test_a_function_of_rows_is_explained(explainer: SHAPExplainer) -> None:
    rows = table().to_numpy()
    values, expected = explainer.compute_shap_values(lambda given: 2 * given[:, 0] - given[:, 3], rows[:50])
    assert np.allclose(values[:, 0], 2 * (rows[:50, 0] - rows[:50, 0].mean()))
    assert np.allclose(values[:, 3], -(rows[:50, 3] - rows[:50, 3].mean())) and np.allclose(values[:, 1:3], 0)
    assert expected == pytest.approx((2 * rows[:50, 0] - rows[:50, 3]).mean())


@pytest.mark.parametrize("form", [pd.DataFrame, pl.DataFrame, pa.Table.from_pandas, pd.DataFrame.to_numpy])
@pytest.mark.parametrize("family", ["xgboost", "lightgbm", "catboost", "forest", "histogram"])
def test_a_table_may_have_any_form(family: str, form: Callable[[Any], Any], explainer: SHAPExplainer) -> None:
    for fitted_with in (table(), table().to_numpy()):
        model = TREES[family](True).fit(fitted_with, target("binary"))
        expected, _ = explainer.compute_shap_values(model, fitted_with[:9])
        assert np.array_equal(explainer.compute_shap_values(model, form(table()[:9]))[0], expected)


def test_a_model_is_explained_with_the_rounds_that_it_predicts_with(explainer: SHAPExplainer) -> None:
    frame, y = table(), target("binary")
    model = xgboost.XGBClassifier(n_estimators=200, early_stopping_rounds=3)
    model.fit(frame[:150], y[:150], eval_set=[(frame[150:], y[150:])], verbose=False)
    assert model.best_iteration < 199
    values, expected = explainer.compute_shap_values(model, frame[:20])
    assert np.abs(values.sum(axis=1) + expected - model.predict(frame[:20], output_margin=True)).max() < 1e-4


def test_boosters_are_models_too(explainer: SHAPExplainer) -> None:
    frame, y = table(), target("binary")
    for model, booster in (
        (xgboost.XGBClassifier(n_estimators=5).fit(frame, y), lambda model: model.get_booster()),
        (lightgbm.LGBMClassifier(n_estimators=5, verbosity=-1).fit(frame, y), lambda model: model.booster_),
    ):
        expected = explainer.compute_shap_values(model, frame[:9])
        found = explainer.compute_shap_values(booster(model), frame[:9])
        assert np.array_equal(found[0], expected[0]) and found[1] == expected[1]


def mixed() -> pd.DataFrame:
    r = np.random.default_rng(1)
    frame = table().assign(region=r.choice(["n", "s", "w"], ROWS), brand=r.choice(["a", "b"], ROWS))
    frame.loc[::7, "calls"] = np.nan
    return frame[["region", "calls", "samples", "brand", "tenure", "share"]]


def encoder() -> Any:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return make_column_transformer(
        (numbers, ["calls", "samples", "tenure"]), (OneHotEncoder(), ["brand", "region"]), remainder="passthrough"
    )


@pytest.mark.parametrize(
    "last",
    [xgboost.XGBClassifier(n_estimators=8), linear_model.LogisticRegression(), ensemble.RandomForestClassifier(8)],
)
def test_a_pipeline_is_explained_in_the_features_of_its_table(last: Any, explainer: SHAPExplainer) -> None:
    frame = mixed()
    model = make_pipeline(encoder(), last).fit(frame, target("binary"))
    values, expected = explainer.compute_shap_values(model, frame, algorithm=type(last).__name__)
    assert values.shape == (ROWS, 6)
    encoded = model[:-1].transform(frame)
    assert np.abs(values.sum(axis=1) + expected - margin_of(last, encoded)).max() < 1e-4
    columns, _ = explainer.compute_shap_values(last, encoded)  # calls samples tenure, brand × 2, region × 3, share
    sources = [1, 2, 4, 3, 3, 0, 0, 0, 5]
    for feature in range(6):
        of_feature = [place for place, source in enumerate(sources) if source == feature]
        assert np.allclose(values[:, feature], columns[:, of_feature].sum(axis=1))
    assert set(explainer.explain_instance(model, frame, 5)) == set(frame.columns)
    if not isinstance(last, linear_model.LogisticRegression):
        found = explainer.compute_interactions(model, frame[:5])
        assert found.shape == (5, 6, 6) and np.abs(found.sum(axis=2) - values[:5]).max() < 1e-4


@pytest.mark.slow
def test_a_pipeline_that_mixes_features_is_explained_as_a_whole(explainer: SHAPExplainer) -> None:
    model = make_pipeline(StandardScaler(), PCA(2), linear_model.LogisticRegression()).fit(table(), target("binary"))
    values, expected = explainer.compute_shap_values(model, table()[:90])
    assert values.shape == (90, 4)
    assert np.allclose(values.sum(axis=1) + expected, model.predict_proba(table()[:90])[:, 1])
    whole = make_pipeline(encoder(), PCA(2), linear_model.LogisticRegression()).fit(mixed(), target("binary"))
    values, _ = explainer.compute_shap_values(whole, mixed()[:60])
    assert values.shape == (60, 6) and np.abs(values[:, 1:]).max() > 0.01


def test_selected_features_and_found_models_are_followed(explainer: SHAPExplainer) -> None:
    chosen = make_pipeline(SelectKBest(k=2), ensemble.RandomForestClassifier(5)).fit(table(), target("binary"))
    values, _ = explainer.compute_shap_values(chosen, table()[:9])
    assert ((values == 0).all(axis=0) == ~chosen[0].get_support()).all()
    search = GridSearchCV(linear_model.Ridge(), {"alpha": [0.1, 1.0]}).fit(table(), target("amount"))
    assert np.array_equal(
        explainer.compute_shap_values(search, table(), algorithm="ridge")[0],
        explainer.compute_shap_values(search.best_estimator_, table())[0],
    )


def test_categories_are_explained_where_the_library_takes_them(explainer: SHAPExplainer) -> None:
    frame = mixed()
    typed = frame.astype({"region": "category", "brand": "category"})
    models = [
        (xgboost.XGBClassifier(n_estimators=8, enable_categorical=True).fit(typed, target("binary")), typed),
        (lightgbm.LGBMClassifier(n_estimators=8, verbosity=-1).fit(typed, target("binary")), typed),
        (
            catboost.CatBoostClassifier(iterations=8, cat_features=["region", "brand"], **QUIET).fit(
                frame, target("binary")
            ),
            frame,
        ),
    ]
    for model, rows in models:
        values, expected = explainer.compute_shap_values(model, rows[:30])
        assert np.abs(values.sum(axis=1) + expected - margin_of(model, rows[:30])).max() < 1e-4
    codes = OrdinalEncoder().fit_transform(frame[["region", "brand"]])
    histogram = ensemble.HistGradientBoostingClassifier(max_iter=5, categorical_features=[0, 1])
    both = np.column_stack([codes, frame[["samples", "tenure"]]])
    values, expected = explainer.compute_shap_values(histogram.fit(both, target("binary")), both[:30])
    assert np.allclose(values.sum(axis=1) + expected, histogram.predict_proba(both[:30])[:, 1])


def test_the_programs_own_way_a_model_of_arrays_and_a_frame(explainer: SHAPExplainer) -> None:
    scaler = StandardScaler().fit(table())
    model = xgboost.XGBClassifier(n_estimators=9, random_state=0).fit(scaler.transform(table()), target("binary"))
    rows = pd.DataFrame(scaler.transform(table()), columns=NAMES)
    values, expected = explainer.compute_shap_values(model, rows, algorithm="XGBoost")
    assert np.abs(values.sum(1) + expected - model.predict(rows, output_margin=True)).max() < 1e-3
    shares = explainer.compute_feature_importance(values, NAMES)
    assert abs(sum(shares.values()) - 1) < 1e-9 and list(shares)[-1] == "share"
    assert explainer.compute_interactions(model, rows.head(5)).shape == (5, 4, 4)
    assert list(explainer.explain_instance(model, rows, 2)) == NAMES


def test_a_model_of_the_store_is_explained(explainer: SHAPExplainer, tmp_path: Path) -> None:
    from e2i.catalog.artifacts import Model
    from e2i.estimators import fitting
    from learning import others
    from learning import table as learning_table

    frame = learning_table(200)
    for algorithm, name in (("XGBoost", "binary"), ("LogisticRegression", "binary"), ("RandomForest", "three")):
        prepared = fitting.prepare(frame, None, name, algorithm, exclude=others(name))
        fitted = fitting.fit(prepared, {}, seed=0, threads=1)
        digest = explainer.program.artifacts.put(fitting.save(fitted, tmp_path / f"{algorithm}-model"))
        task, features = prepared.schema.task, prepared.schema.names
        model = Model(digest=digest, algorithm=algorithm, task=task, target=name, features=features)
        values, expected = explainer.compute_shap_values(model, frame, algorithm=algorithm)
        assert values.shape == ((200, 5, 3) if name == "three" else (200, 5))
        assert np.abs(values.sum(axis=1) + expected - fitted.scorer.margin(frame)).max() < 1e-4
        assert set(explainer.explain_instance(model, frame, 0)) == set(features)


def test_several_targets_are_explained_each(explainer: SHAPExplainer) -> None:
    both = np.column_stack([target("amount"), -target("amount")])
    for model in (
        ensemble.RandomForestRegressor(5),
        linear_model.LinearRegression(),
        xgboost.XGBRegressor(n_estimators=5),
    ):
        values, expected = explainer.compute_shap_values(model.fit(table(), both), table()[:9])
        assert values.shape == (9, 4, 2)
        assert np.abs(values.sum(axis=1) + expected - model.predict(table()[:9])).max() < 1e-4


@pytest.mark.parametrize(
    ("model", "inverse"),
    [
        (ensemble.HistGradientBoostingRegressor(max_iter=5, loss="poisson"), np.log),
        (xgboost.XGBRegressor(n_estimators=5, objective="count:poisson"), np.log),
        (xgboost.XGBRegressor(n_estimators=5, booster="gblinear"), np.asarray),
        (xgboost.XGBRegressor(n_estimators=5, booster="dart", rate_drop=0.5), np.asarray),
        (lightgbm.LGBMRegressor(n_estimators=5, verbosity=-1, linear_tree=True), np.asarray),
        (linear_model.PoissonRegressor(), np.asarray),
        (ensemble.GradientBoostingRegressor(n_estimators=5, init=linear_model.Ridge()), np.asarray),
    ],
)
def test_values_add_up_whatever_links_the_margin_and_the_prediction(
    model: Any, inverse: Any, explainer: SHAPExplainer
) -> None:
    model.fit(table(), target("amount").clip(0.1))
    values, expected = explainer.compute_shap_values(model, table()[:90])
    assert np.abs(values.sum(axis=1) + expected - inverse(model.predict(table()[:90]))).max() < 1e-3


@pytest.mark.parametrize("family", ["xgboost", "lightgbm", "catboost", "forest", "histogram"])
def test_missing_values_are_explained(family: str, explainer: SHAPExplainer) -> None:
    frame = table().mask(np.random.default_rng(2).random((ROWS, 4)) < 0.2)
    model = TREES[family](True).fit(frame, target("binary"))
    values, expected = explainer.compute_shap_values(model, frame)
    assert np.abs(values.sum(axis=1) + expected - margin_of(model, frame)).max() < 1e-4


@pytest.mark.parametrize("family", ["xgboost", "forest"])
def test_one_row_is_explained_as_it_is_among_all(family: str, explainer: SHAPExplainer) -> None:
    model = TREES[family](True).fit(table(), target("binary"))
    values, _ = explainer.compute_shap_values(model, table())
    found = explainer.explain_instance(model, table(), 17)
    assert list(found) == NAMES and np.allclose(list(found.values()), values[17])
    assert explainer.explain_instance(model, table(), -1) == explainer.explain_instance(model, table(), ROWS - 1)


def test_one_row_of_a_linear_model_is_not_its_own_background(explainer: SHAPExplainer) -> None:
    model = linear_model.LogisticRegression().fit(table().to_numpy(), target("three"))
    values, _ = explainer.compute_shap_values(model, table().to_numpy())
    found = explainer.explain_instance(model, table().to_numpy(), np.int64(3))
    place = model.decision_function(table().to_numpy())[3].argmax()
    assert list(found) == ["f0", "f1", "f2", "f3"] and np.allclose(list(found.values()), values[3, :, place])
    with pytest.raises(ValueError, match="explained against other rows"):
        explainer.compute_shap_values(model, table().to_numpy()[:1])


def fitted(family: str = "xgboost") -> Any:
    return TREES[family](True).fit(table(), target("binary"))


@pytest.mark.parametrize("hint", ["XGBoost", "xgboost", "XGBClassifier", "xgb_classifier"])
def test_the_hint_may_be_the_algorithm_or_the_class(hint: str, explainer: SHAPExplainer) -> None:
    assert explainer.compute_shap_values(fitted(), table()[:3], algorithm=hint)[0].shape == (3, 4)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda e: e.compute_shap_values(fitted(), table(), algorithm="LightGBM"), "and the model is XGBoost"),
        (lambda e: e.compute_shap_values(fitted(), table(), algorithm="CausalForest"), "and the model is XGBoost"),
        (lambda e: e.compute_shap_values(fitted(), table()[NAMES[:2]]), "2 features, and the model was fitted with 4"),
        (lambda e: e.compute_shap_values(fitted(), table()[NAMES[::-1]]), "another order"),
        (lambda e: e.compute_shap_values(fitted("forest"), table().rename(columns={"calls": "x"})), "lacks calls"),
        (lambda e: e.compute_shap_values(fitted(), table()[:0]), "has no rows"),
        (lambda e: e.compute_shap_values(fitted(), table().calls), "not (rows, features)"),
        (lambda e: e.compute_shap_values(object(), table()), "cannot be explained"),
        (lambda e: e.compute_shap_values(xgboost.XGBClassifier(), table()), "fit"),
        (lambda e: e.compute_shap_values(ensemble.RandomForestClassifier(), table()), "fitted"),
        (lambda e: e.explain_instance(fitted(), table(), ROWS), "has 240 rows"),
        (lambda e: e.explain_instance(fitted(), table(), 1.5), "not the number of a row"),
        (lambda e: e.compute_interactions(linear_model.Ridge().fit(table(), range(ROWS)), table()), "has no trees"),
        (
            lambda e: e.compute_interactions(neighbors.KNeighborsClassifier().fit(table(), target("binary")), table()),
            "trees",
        ),
        (lambda e: e.compute_feature_importance(np.zeros((3, 4)), NAMES[:3]), "4 features, and there are 3"),
        (lambda e: e.compute_feature_importance(np.zeros(4), NAMES), "not (rows, features)"),
        (lambda e: e.compute_feature_importance(np.full((2, 4), np.nan), NAMES), "no numbers"),
    ],
)
def test_a_mistake_raises_a_value_error(call: Callable[[Any], Any], said: str, explainer: SHAPExplainer) -> None:
    with pytest.raises(ValueError) as caught:
        call(explainer)
    assert said in str(caught.value)
    assert explainer.state == "closed"


def test_an_estimator_of_effects_must_be_fitted(explainer: SHAPExplainer) -> None:
    dml = pytest.importorskip("econml.dml")
    with pytest.raises(ValueError, match="is not fitted"):
        explainer.compute_shap_values(dml.LinearDML(), table())


def test_importances_are_shares_over_rows_and_classes(explainer: SHAPExplainer) -> None:
    values = np.array([[1.0, -3.0], [-1.0, 3.0]])
    assert explainer.compute_feature_importance(values, ["a", "b"]) == {"b": 0.75, "a": 0.25}
    assert explainer.compute_feature_importance(np.stack([values, values], -1), ["a", "b"]) == {"b": 0.75, "a": 0.25}
    assert explainer.compute_feature_importance((values, 0.5), ["a", "b"]) == {"b": 0.75, "a": 0.25}
    assert explainer.compute_feature_importance(values * 0, ["a", "b"]) == {"a": 0.5, "b": 0.5}


def test_values_that_do_not_add_up_are_refused(explainer: SHAPExplainer, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted()
    honest = xgboost.Booster.predict

    def wrong(self: Any, rows: Any, *, output_margin: bool = False, **options: Any) -> Any:
        return honest(self, rows, output_margin=output_margin, **options) + (0.5 if output_margin else 0.0)

    monkeypatch.setattr(xgboost.Booster, "predict", wrong)
    with pytest.raises(ValueError, match=r"differ from its margin by 0\.5"):
        explainer.compute_shap_values(model, table())


def test_an_explanation_ends_at_its_deadline(workspace: Path) -> None:
    def slow(rows: Any) -> Any:
        time.sleep(0.5)
        return rows[:, 0]

    with pytest.raises(ToolUnavailable, match=r"within 0\.1 s"):
        SHAPExplainer(SHAPConfig(deadline=0.1)).compute_shap_values(slow, table().to_numpy())


def test_a_search_and_its_explanation_fit_together(workspace: Path) -> None:
    import asyncio

    from e2i.mlops.optuna import OptunaTuner

    frame, y = table(), target("texts")
    search = OptunaTuner().optimize(
        "XGBoost", {"max_depth": (2, 3), "n_estimators": [5]}, frame[:120], y[:120], frame[120:], y[120:], n_trials=2
    )
    model = asyncio.run(search).fit(frame, y)
    values, expected = SHAPExplainer().compute_shap_values(model, frame, algorithm="XGBoost")
    margin = np.log(model.predict_proba(frame)[:, 1] / model.predict_proba(frame)[:, 0])
    assert np.abs(values.sum(axis=1) + expected - margin).max() < 1e-3


class Plan:
    """A model without any of the libraries that have explainers."""

    def predict(self, rows: Any) -> Any:
        return rows["calls"] * rows["tenure"] + rows["share"]


def test_any_model_with_predictions_is_explained_by_the_explainer_that_is_asked_for(explainer: SHAPExplainer) -> None:
    rows, model = table()[:60], Plan()
    values, expected = explainer.compute_shap_values(model, rows, explainer="exact")
    assert np.allclose(values.sum(axis=1) + expected, model.predict(rows))
    assert np.abs(values[:, NAMES.index("samples")]).max() < 1e-12
    pairs = explainer.compute_interactions(model, rows[:3], explainer="exact")
    assert np.abs(pairs[:, NAMES.index("share"), :3]).max() < 1e-12
    with pytest.raises(ValueError, match="`explainer` is 'best', which does not exist"):
        explainer.compute_shap_values(model, rows, explainer="best")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`tree` does not suit Plan"):
        explainer.compute_shap_values(model, rows, explainer="tree")


def test_a_model_that_mlflow_loads_as_pyfunc_is_explained(explainer: SHAPExplainer, tmp_path: Path) -> None:
    import mlflow.pyfunc
    import mlflow.sklearn

    rows = table()[:60]
    fitted = neighbors.KNeighborsRegressor().fit(rows, target("amount")[:60])
    mlflow.sklearn.save_model(fitted, str(tmp_path / "m"), pip_requirements=[], serialization_format="cloudpickle")
    values, expected = explainer.compute_shap_values(mlflow.pyfunc.load_model(str(tmp_path / "m")), rows)
    assert np.abs(values.sum(axis=1) + expected - fitted.predict(rows)).max() < 1e-6
