"""Save a live estimator in MLflow's format, by its library's own flavour.

In: a fitted estimator. Out: a model folder that ``mlflow.<flavor>.load_model`` reads without e2i.

The formats: ``.ubj`` for XGBoost, ``.cb`` for CatBoost, skops for scikit-learn and LightGBM when it takes the
estimator, else cloudpickle (skops refuses types that it does not trust). LinearDML and CausalForestDML of EconML:
numbers and a Python function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from e2i.catalog.artifacts import EffectModel, Model, Stored
from e2i.errors import StepError
from e2i.estimators import live_effects
from e2i.estimators.algorithms import ALGORITHMS, named
from e2i.tools.mlflow.models import save_scoring

DISTRIBUTIONS = {"sklearn": "scikit-learn", "imblearn": "imbalanced-learn"}
"""Root module → distribution, where the names differ."""
LIBRARIES = ("sklearn", "xgboost", "lightgbm", "catboost", "imblearn", "pandas", "scipy")
"""Root modules whose versions a saved estimator needs."""
TRUSTED = (
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn._loss.loss.HalfMultinomialLoss",
)
"""Types of fitted scikit-learn estimators that hold numbers only, beyond those that skops trusts by itself."""


def flavor_of(model: Any) -> str:
    """Return the name of the flavour that saves the estimator. Raises StepError for an object that none saves."""
    roots = [kind.__module__.partition(".")[0] for kind in type(model).__mro__]
    if (known := named(model)) is not None and ALGORITHMS[known].family == "boosted trees":
        return ALGORITHMS[known].flavour
    if "mlflow" in roots and hasattr(model, "predict"):
        return "pyfunc"
    if "sklearn" in roots:
        return "sklearn"
    raise StepError(
        f"no MLflow flavour saves {type(model).__module__}.{type(model).__qualname__}",
        code="unknown-flavor",
        hint="pass a fitted estimator of scikit-learn, XGBoost, LightGBM or CatBoost, an mlflow.pyfunc.PythonModel, "
        "or a model of e2i",
    )


def save(
    model: Any,
    folder: Path,
    open_artifact: Callable[[Stored], Path],
    signature: Any = None,
    input_example: Any = None,
) -> str:
    """Write the estimator, or a model artifact of e2i, to ``folder``, which must not exist; return its flavour.

    ``signature`` is MLflow's; None: inferred from ``input_example`` (rows as the model takes them), if there is one. A
    model of e2i has both already.
    """
    from importlib import import_module

    if isinstance(model, Model | EffectModel):
        return save_scoring(open_artifact(model), folder)
    if live_effects.is_live(model):
        return _save_effects(model, folder, input_example)

    flavor = flavor_of(model)
    module = import_module(f"mlflow.{flavor}")
    about: dict[str, Any] = {
        "signature": signature,
        "input_example": input_example,
        "pip_requirements": list(requirements(model)),
    }
    match flavor:
        case "sklearn":
            _save_sklearn(module, model, folder, about)
        case "xgboost":
            module.save_model(model, str(folder), **about)
        case "pyfunc":
            module.save_model(str(folder), python_model=model, **about)
        case _:
            module.save_model(model, str(folder), **about)
    return flavor


def _save_effects(model: Any, folder: Path, input_example: Any) -> str:
    """Save an estimator of EconML as arrays and JSON, with the module that applies them. Raises StepError."""
    import tempfile

    from e2i.estimators import effects

    found = live_effects.to_effects(model, input_example)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        return save_scoring(effects.save(found, Path(scratch) / "effects"), folder)


def requirements(model: Any) -> Iterator[str]:
    """Yield the pinned distributions that the estimator and the estimators inside it come from."""
    roots = {kind.__module__.partition(".")[0] for part in _parts(model) for kind in type(part).__mro__}
    names = [root for root in LIBRARIES if root in roots]
    for root in ("numpy", *names):
        try:
            yield f"{DISTRIBUTIONS.get(root, root)}=={version(DISTRIBUTIONS.get(root, root))}"
        except PackageNotFoundError:
            continue


def _parts(model: Any) -> Iterator[Any]:
    """Yield the estimator and, of a pipeline or a wrapper, every estimator among its parameters."""
    yield model
    read = getattr(model, "get_params", None)
    if not callable(read) or isinstance(model, type):
        return
    for value in read(deep=True).values():
        if hasattr(value, "get_params") and not isinstance(value, type):
            yield value


def _save_sklearn(module: Any, model: Any, folder: Path, about: dict[str, Any]) -> None:
    """Save as skops, or as cloudpickle where skops does not trust a type of the estimator."""
    import shutil

    from mlflow.exceptions import MlflowException

    predict = "predict" if hasattr(model, "predict") else "transform"
    about = {**about, "pyfunc_predict_fn": predict}
    try:
        module.save_model(model, str(folder), serialization_format="skops", skops_trusted_types=list(TRUSTED), **about)
    except (MlflowException, TypeError, ValueError, AttributeError):  # skops has no form for it
        shutil.rmtree(folder, ignore_errors=True)
        module.save_model(model, str(folder), serialization_format="cloudpickle", **about)
