"""Mistakes of programs that the tools themselves would report badly, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import e2i.mlops
from e2i.errors import BadInput
from e2i.mlops import (
    BadCall,
    FeastClient,
    GEValidator,
    MLflowConfig,
    MLflowConnector,
    OpikConnector,
    OptunaTuner,
    SHAPExplainer,
)
from e2i.settings import load

pytestmark = pytest.mark.usefixtures("workspace")
X = pd.DataFrame(np.random.default_rng(0).normal(size=(120, 3)), columns=["a", "b", "c"])
Y = (X.a > 0).astype(int)
ALGORITHMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "LightGBM": ("LightGBM", {"n_estimators": [5]}),
    "XGBoost": ("XGBoost", {"n_estimators": [5]}),
    "CatBoost": ("CatBoost", {"iterations": [5]}),
    "RandomForest": ("RandomForest", {"n_estimators": [5]}),
    "LogisticRegression": ("LogisticRegression", {"C": [1.0]}),
    "callable": (lambda strength: make_pipeline(StandardScaler(), LogisticRegression(C=strength)), {"strength": [1.0]}),
}


def optimize(algorithm: Any = "LightGBM", space: Any = None, **changed: Any) -> Any:
    given = {"X_train": X[:80], "y_train": Y[:80], "X_val": X[80:], "y_val": Y[80:], "n_trials": 1, "seed": 1}
    return asyncio.run(OptunaTuner().optimize(algorithm, space or {"n_estimators": [5]}, **{**given, **changed}))


@pytest.mark.parametrize("form", [pd.DataFrame, pl.DataFrame, pa.Table.from_pandas])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_columns_in_another_order_are_refused_before_any_trial(name: str, form: Callable[..., Any]) -> None:
    said = r"`X_val` has the features in another order, .*pass X_val\[\['a', 'b', 'c'\]\]"
    with pytest.raises(BadCall, match=said):
        optimize(*ALGORITHMS[name], X_val=form(X[80:][["c", "b", "a"]].reset_index(drop=True)))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_other_columns_are_refused_by_name(name: str) -> None:
    with pytest.raises(BadCall, match="`X_val` lacks a and has calls besides"):
        optimize(*ALGORITHMS[name], X_val=X[80:].rename(columns={"a": "calls"}))


@pytest.mark.parametrize("name", ["LightGBM", "callable"])
def test_a_fit_of_the_best_takes_the_features_of_the_search(name: str) -> None:
    best = optimize(*ALGORITHMS[name])
    for table, labels, said in (
        (X[["c", "b", "a"]], Y, "another order, compared with the table of the search"),
        (X.rename(columns={"a": "calls"}), Y, "lacks a and has calls besides"),
        (X.to_numpy()[:, :2], Y, "the table of the search has 3 features and `X` has 2"),
        (X, Y[:3], r"`y` has the shape \(3,\), and its table has 120 rows"),
        (None, Y, r"`X` has the shape \(\)"),
    ):
        with pytest.raises(BadCall, match=said):
            best.fit(table, labels)
    assert best.fit(pl.from_pandas(X), Y).predict(X).shape == (120,)


def _broken(strength: float) -> Any:
    raise RuntimeError("a mistake of its own")


@pytest.mark.parametrize(
    ("algorithm", "name", "table", "hint"),
    [
        (_broken, "strength", X, "correct the callable"),
        (lambda strength: LogisticRegression(C=strength), "C", X, "exactly the parameters that `algorithm` takes"),
        ("LogisticRegression", "C", X.where(X > -1), "fill or remove missing and infinite values"),
    ],
)
def test_the_hint_fits_the_reason_that_every_trial_failed_by(algorithm: Any, name: str, table: Any, hint: str) -> None:
    with pytest.raises(BadCall, match="no trial was completed") as caught:
        optimize(algorithm, {name: [0.5]}, X_train=table[:80])
    assert hint in str(caught.value.hint)


def test_a_model_that_is_not_fitted_is_refused() -> None:
    for model in (
        LogisticRegression(),
        lightgbm.LGBMClassifier(),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ):
        with pytest.raises(BadCall, match="is not fitted") as caught:
            SHAPExplainer().compute_shap_values(model, X)
        assert caught.value.hint == "call model.fit(X, y) before"
    with pytest.raises(BadCall, match="the class LogisticRegression"):
        SHAPExplainer().compute_shap_values(LogisticRegression, X)


def test_missing_values_that_a_model_does_not_take_are_a_mistake() -> None:
    with pytest.raises(BadCall) as caught:
        SHAPExplainer().compute_shap_values(LogisticRegression().fit(X, Y), X.where(X > -1))
    assert "missing" in str(caught.value.hint)


def test_tokens_and_statuses_of_spans_are_checked() -> None:
    with OpikConnector().trace_llm_call("claude-sonnet-4") as llm:
        for tokens in (-1, "a", None, float("nan"), [1]):
            with pytest.raises(BadCall, match="input_tokens must be a whole number"):
                llm.log_tokens(tokens, 1)  # type: ignore[arg-type] - what is refused
        llm.log_tokens(np.int64(3), 2.0)  # type: ignore[arg-type] - whole numbers all the same
        for status in ("failed", "OK", None, 3, ["ok"]):
            with pytest.raises(BadCall, match="unknown status"):
                llm.set_status(status)  # type: ignore[arg-type] - what is refused


def test_an_unknown_attribute_of_a_span_is_refused() -> None:
    with OpikConnector().trace_agent("analyzer", "interpret") as span:
        with pytest.raises(BadCall, match=r"no attribute 'outputs'.*did you mean `output`"):
            span.outputs = {"top": "calls"}  # type: ignore[attr-defined] - what is refused
        span.output = {"top": "calls"}


def test_an_unknown_argument_of_an_expectation_is_said_with_the_suite() -> None:
    item = {"type": "expect_column_values_to_be_between", "column": "a", "max": 3}
    with pytest.raises(BadCall, match=r"suite 'journeys', expectation 1, .*takes no max .did you mean \"max_value\""):
        GEValidator().create_suite("journeys", [item])


def test_messages_about_suites_have_no_words_of_pydantic() -> None:
    with pytest.raises(BadCall, match=r"has at least 1 item") as none:
        GEValidator().create_suite("journeys", [])
    with pytest.raises(BadCall, match=r"use only letters, digits") as name:
        GEValidator().create_suite("the journeys", [{"type": "expect_column_to_exist", "column": "a"}])
    assert not any(word in f"{none.value} {name.value}" for word in ("Tuple", "String", "pattern", "validation"))


def test_only_data_files_are_suggested(workspace: Path) -> None:
    (workspace / "config").mkdir()
    (workspace / "notes.txt").write_text("x")
    X.to_csv(workspace / "journeys.csv")
    with pytest.raises(BadCall, match=r"no file 'x.csv'") as caught:
        asyncio.run(GEValidator().validate("x.csv", "e2i_default_suite"))
    assert caught.value.hint == "choose from: journeys.csv"


def test_columns_of_scalars_are_no_rows() -> None:
    store = FeastClient()
    store.register_feature("calls", "journeys", "hcp", "int64")
    with pytest.raises(BadCall, match=r"dict has no rows"):
        store.push("journeys", {"hcp": 1})  # type: ignore[arg-type] - what is refused
    with pytest.raises(BadCall, match=r"not a list of mappings"):
        store.get_online_features({"hcp": "a"}, ["journeys:calls"])  # type: ignore[arg-type] - what is refused


@pytest.mark.parametrize("name", [name for name in e2i.mlops.__all__ if name.endswith("Config")])
def test_an_unknown_setting_of_a_class_is_a_mistake_with_the_nearest(name: str) -> None:
    with pytest.raises(ValueError, match=r'dedline: unknown setting \(did you mean "deadline"\?\)') as caught:
        getattr(e2i.mlops, name)(dedline=3)
    assert "pydantic" not in str(caught.value)
    with pytest.raises(ValueError, match=r"circuit_breaker.failure_treshold: unknown setting .did you mean"):
        getattr(e2i.mlops, name)(circuit_breaker={"failure_treshold": 3})
    assert getattr(e2i.mlops, name)(deadline=3).deadline == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "mlflow: {dedline: 3}",
            r'mlflow \(config/mlops.yaml, profile default\): dedline: unknown setting .*"deadline"',
        ),
        ("mlfow: {deadline: 3}", r"\(config/mlops.yaml\): tools: there is no tool 'mlfow' .did you mean \"mlflow\""),
        ("tools: {mlflow: {deadline: 3}}", "mlops.yaml has the tools' blocks at its top level"),
        ("mlflow: 3", r"\(config/mlops.yaml\): tools.mlflow"),
    ],
)
def test_wrong_settings_are_said_with_their_file(workspace: Path, text: str, said: str) -> None:
    (workspace / "config").mkdir()
    (workspace / "config" / "mlops.yaml").write_text(text)
    with pytest.raises(ValueError, match=said):
        MLflowConnector()


@pytest.mark.parametrize("text", ["mlflow: {deadline: 3", "mlflow: {deadline: 3}\nmlflow: {deadline: 4}"])
def test_a_file_that_cannot_be_read_is_said_with_line_and_problem(workspace: Path, text: str) -> None:
    (workspace / "config").mkdir()
    (workspace / "config" / "mlops.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"config/mlops.yaml:\d+:\d+: \w+") as caught:
        MLflowConnector()
    assert "the spec has" not in str(caught.value)


def test_a_profile_that_is_the_name_of_an_environment_is_said_with_the_profile(tmp_path: Path) -> None:
    (tmp_path / "prod.yaml").write_text("{}")
    with pytest.raises(BadInput) as caught:
        load(tmp_path, None, {"E2I_PROFILE": "production"})
    assert caught.value.hint == 'did you mean "prod"? Profiles here: prod'


def test_an_environment_that_implies_no_profile_is_noted(tmp_path: Path) -> None:
    note = load(tmp_path, None, {"ENVIRONMENT": "prodution"}).note
    assert note is not None
    assert "'prodution', which implies no profile" in note
    assert 'did you mean "production"?' in note
    assert load(tmp_path, None, {}).note is None


def test_settings_of_a_config_are_those_of_its_arguments() -> None:
    assert MLflowConfig(deadline=3).model_fields_set == {"deadline"}
