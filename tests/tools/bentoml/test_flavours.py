"""Models of every flavour, packaged from the folder that MLflow writes: they predict as the estimator itself does."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from e2i.errors import StepError
from e2i.estimators import scoring
from e2i.tools.bentoml import flavours
from e2i.tools.bentoml.contents import Contents, of_mlflow
from served_models import NAMES, saved, table

pytestmark = pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is not installed")


def module(name: str) -> Any:
    """The module of e2i that is copied into each Bento."""
    return import_module(f"e2i.estimators.{name}")


def placed(contents: Contents, folder: Path) -> Path:
    """The folder of a Bento's model, as the build writes it."""
    for name, source in contents.files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    (folder / "serving.json").write_bytes(contents.serving())
    return folder


def served(model: Path, folder: Path, before: Path | None = None) -> flavours.Served:
    return flavours.load(placed(of_mlflow(model, before), folder), module)


def xgboost_classifier() -> tuple[str, Any]:
    from xgboost import XGBClassifier

    return "xgboost", XGBClassifier(n_estimators=5)


def lightgbm_classifier() -> tuple[str, Any]:
    from lightgbm import LGBMClassifier

    return "lightgbm", LGBMClassifier(n_estimators=5, verbose=-1)


def catboost_classifier() -> tuple[str, Any]:
    from catboost import CatBoostClassifier

    return "catboost", CatBoostClassifier(iterations=5, verbose=0, allow_writing_files=False)


def logistic() -> tuple[str, Any]:
    from sklearn.linear_model import LogisticRegression

    return "sklearn", LogisticRegression()


def xgboost_regressor() -> tuple[str, Any]:
    from xgboost import XGBRegressor

    return "xgboost", XGBRegressor(n_estimators=5)


def catboost_regressor() -> tuple[str, Any]:
    from catboost import CatBoostRegressor

    return "catboost", CatBoostRegressor(iterations=5, verbose=0, allow_writing_files=False)


MADE = (xgboost_classifier, lightgbm_classifier, catboost_classifier, logistic, xgboost_regressor, catboost_regressor)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("form", ["frame", "array"])
@pytest.mark.parametrize("make", MADE)
def test_it_predicts_as_the_estimator_does(
    make: Callable[[], tuple[str, Any]], form: str, classes: int, tmp_path: Path
) -> None:
    flavour, estimator = make()
    frame, target = table(classes=classes)
    data = frame if form == "frame" else frame.to_numpy()
    estimator.fit(data, target)
    model = served(saved(flavour, estimator, tmp_path / "saved"), tmp_path / "bento")
    predictions, probabilities = model.predict(frame.head(20).to_numpy().tolist())
    expected = estimator.predict(data[:20])
    np.testing.assert_array_equal(np.asarray(predictions), expected)
    if hasattr(estimator, "predict_proba"):
        np.testing.assert_allclose(np.asarray(probabilities), estimator.predict_proba(data[:20]), atol=1e-9)
        assert model.classes == list(range(classes))
    else:
        assert probabilities is None and model.classes is None
    if form == "frame":
        shuffled = frame.head(20)[NAMES[::-1]].to_dict("records")
        assert model.predict(shuffled)[0] == predictions


def test_a_pipeline_of_text_and_numbers_takes_rows_by_name(tmp_path: Path) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame, target = table()
    frame = frame.assign(brand=["Kisqali", "Fabhalta"] * 60)
    pipeline = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["brand"]), (StandardScaler(), NAMES)), LogisticRegression()
    ).fit(frame, target.map({0: "no", 1: "yes"}))
    folder = saved("sklearn", pipeline, tmp_path / "saved", skops_trusted_types=["numpy.dtype"])
    model = served(folder, tmp_path / "bento")
    rows = frame.head(10).to_dict("records")
    predictions, probabilities = model.predict(rows)
    assert predictions == pipeline.predict(frame.head(10)).tolist() and set(predictions) <= {"no", "yes"}
    assert model.classes == ["no", "yes"] and probabilities is not None
    with pytest.raises(flavours.ServingError, match="row 1 lacks brand"):
        model.predict([rows[0], dict.fromkeys(NAMES, 1.0)])
    with pytest.raises(flavours.ServingError, match="row 0 has 2 values; the model has 4 features"):
        model.predict([[1.0, 2.0]])


def test_rows_pass_the_preprocessing_first(tmp_path: Path) -> None:
    from sklearn.preprocessing import StandardScaler
    from xgboost import XGBClassifier

    frame, target = table()
    scaler = StandardScaler().fit(frame * 9)
    estimator = XGBClassifier(n_estimators=5).fit(scaler.transform(frame * 9), target)
    model = served(
        saved("xgboost", estimator, tmp_path / "model"),
        tmp_path / "bento",
        saved("sklearn", scaler, tmp_path / "scaler"),
    )
    assert model.names == NAMES
    expected = estimator.predict(scaler.transform(frame.head(20) * 9))
    assert model.predict((frame.head(20) * 9).to_dict("records"))[0] == expected.tolist()


def test_missing_values_and_declared_types_arrive_as_the_model_takes_them(tmp_path: Path) -> None:
    from mlflow.models import infer_signature
    from xgboost import XGBClassifier

    frame, target = table()
    frame["calls"] = (frame["calls"] * 10).astype("int64")
    estimator = XGBClassifier(n_estimators=5).fit(frame, target)
    signature = infer_signature(frame, target)
    model = served(saved("xgboost", estimator, tmp_path / "saved", signature=signature), tmp_path / "bento")
    rows = [[3.0, None, 1.0], [4.0, 0.5, -1.0]]
    expected = estimator.predict(pd.DataFrame([[3, np.nan, 1.0], [4, 0.5, -1.0]], columns=NAMES))
    assert model.predict(rows)[0] == expected.tolist()
    assert [feature["type"] for feature in model.features] == ["long", "double", "double"]
    with pytest.raises(flavours.ServingError, match="takes values of type long"):
        model.predict([[3.5, 1.0, 1.0]])


def test_a_native_model_needs_neither_mlflow_nor_a_pickle_and_its_files_are_checked(tmp_path: Path) -> None:
    flavour, estimator = xgboost_classifier()
    estimator.fit(*table())
    contents = of_mlflow(saved(flavour, estimator, tmp_path / "saved"))
    assert list(contents.files) == ["model/model.ubj"] and contents.notes == ()
    assert not any(item.startswith(("mlflow", "cloudpickle")) for item in contents.requirements)
    folder = placed(contents, tmp_path / "bento")
    with (folder / "model" / "model.ubj").open("ab") as file:
        file.write(b"x")
    with pytest.raises(flavours.ServingError, match=r"model\.ubj is corrupt"):
        flavours.load(folder, module)


def test_equal_models_are_equal_content_wherever_mlflow_keeps_them(tmp_path: Path) -> None:
    flavour, estimator = xgboost_classifier()
    estimator.fit(*table())
    one = of_mlflow(saved(flavour, estimator, tmp_path / "one"))
    two = of_mlflow(saved(flavour, estimator, tmp_path / "two"))
    assert one.serving() == two.serving() and one.model == two.model
    estimator.set_params(n_estimators=6).fit(*table())
    assert of_mlflow(saved(flavour, estimator, tmp_path / "three")).model != one.model


def test_a_pickle_is_said_to_be_code_and_checked_before_it_is_read(tmp_path: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    frame, target = table()
    forest = RandomForestClassifier(5, random_state=0).fit(frame, target)
    folder = saved("sklearn", forest, tmp_path / "saved", serialization_format="cloudpickle")
    contents = of_mlflow(folder)
    (note,) = contents.notes
    assert "the model is a pickle" in note
    assert any(item.startswith("cloudpickle==") for item in contents.requirements)
    placed(contents, tmp_path / "bento")
    model = flavours.load(tmp_path / "bento", module)
    assert model.predict(frame.head(5).to_numpy().tolist())[0] == forest.predict(frame.head(5)).tolist()
    ran = tmp_path / "ran"
    planted = b"cos\nsystem\n(S'touch " + str(ran).encode() + b"'\ntR."
    (tmp_path / "bento" / "model" / "model.pkl").write_bytes(planted)
    with pytest.raises(flavours.ServingError, match="corrupt"):
        flavours.load(tmp_path / "bento", module)
    assert not ran.exists()


def test_a_python_function_is_served_by_mlflow_and_said_to_be_code(tmp_path: Path) -> None:
    import mlflow.pyfunc

    class Twice(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input.iloc[:, 0] * 2

    mlflow.pyfunc.save_model(str(tmp_path / "saved"), python_model=Twice(), pip_requirements=["numpy"])
    contents = of_mlflow(tmp_path / "saved")
    assert "a Python function" in contents.notes[0]
    assert any(item.startswith("mlflow==") for item in contents.requirements)
    model = flavours.load(placed(contents, tmp_path / "bento"), module)
    assert model.predict([{"calls": 1.5}, {"calls": 2.0}]) == ([3.0, 4.0], None)


def test_a_model_of_e2i_that_mlflow_keeps_answers_with_classes(ctx: Any, tmp_path: Path) -> None:
    from e2i.tools.mlflow.models import save_scoring
    from small_model import small_model

    model, frame = small_model(ctx)
    save_scoring(ctx.open(model), tmp_path / "saved")
    loaded = served(tmp_path / "saved", tmp_path / "bento")
    local = scoring.load(ctx.open(model)).predict(frame.head(50))
    rows = frame[["calls", "score", "brand"]].astype(object).where(frame.notna(), None).head(50).to_dict("records")
    predictions, probabilities = loaded.predict(rows)
    assert probabilities is not None
    np.testing.assert_allclose([row[1] for row in probabilities], local, atol=1e-9)
    assert predictions == (local > 0.5).astype(int).tolist()


def described(folder: Path, **flavors: Any) -> Path:
    folder.mkdir()
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    return folder


def test_what_is_no_model_is_refused_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StepError, match="MLmodel cannot be read"):
        of_mlflow(tmp_path / "empty")
    with pytest.raises(StepError, match="has no flavours"):
        of_mlflow(described(tmp_path / "a").parent / "a")
    with pytest.raises(StepError, match="only the flavours spark"):
        of_mlflow(described(tmp_path / "b", spark={}))
    with pytest.raises(StepError, match=r"lacks its file \.\./\.\./etc/passwd"):
        of_mlflow(described(tmp_path / "c", xgboost={"data": "../../etc/passwd"}))
    linked = described(tmp_path / "d", xgboost={"data": "model.ubj"})
    (linked / "model.ubj").symlink_to("/etc/passwd")
    with pytest.raises(StepError, match="holds a link"):
        of_mlflow(linked)


def test_a_description_cannot_name_any_class(tmp_path: Path) -> None:
    folder = described(tmp_path / "saved", xgboost={"data": "model.ubj", "model_class": "subprocess.Popen"})
    (folder / "model.ubj").write_bytes(b"x")
    placed(of_mlflow(folder), tmp_path / "bento")
    with pytest.raises(flavours.ServingError, match="not a class of xgboost"):
        flavours.load(tmp_path / "bento", module)


def test_the_digests_are_those_of_the_files(tmp_path: Path) -> None:
    flavour, estimator = logistic()
    estimator.fit(*table())
    contents = of_mlflow(saved(flavour, estimator, tmp_path / "saved"))
    written = json.loads(contents.serving())["files"]
    assert written == {
        "model/model.skops": hashlib.sha256((tmp_path / "saved" / "model.skops").read_bytes()).hexdigest()
    }
