"""Derive the MLflow signature and input example of a model. In: the model's manifest. Out: signature and example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature

TYPES = {
    "double": "double",
    "float64": "double",
    "float": "float",
    "float32": "float",
    "bool": "boolean",
    "boolean": "boolean",
    "timestamp[ns]": "datetime",
}
INTEGERS = {"int8", "int16", "int32", "uint8", "uint16"}


def signature_of(manifest: Mapping[str, Any]) -> ModelSignature:
    """Return inputs as in the training table; output float64, (n,) or (n, classes) for more than two classes.

    A model with a threshold or with intervals takes the parameter ``table``, for a frame of what ``model.predict``
    returns. Of an effect model: the effect on a row with the bounds of its interval.
    """
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    classes = manifest.get("classes") or ()
    shape = (-1, len(classes)) if len(classes) > 2 else (-1,)
    inputs = Schema([ColSpec(_type(feature), feature["name"]) for feature in manifest["features"]])
    if "estimator" in manifest:
        from e2i.estimators.effect_scoring import OUTPUTS

        return ModelSignature(inputs, Schema([ColSpec("double", name) for name in OUTPUTS]))
    asked = ParamSchema([ParamSpec("table", "boolean", False)]) if _decides(manifest) else None
    return ModelSignature(inputs, Schema([TensorSpec(np.dtype("float64"), shape)]), asked)


def _decides(manifest: Mapping[str, Any]) -> bool:
    return "threshold" in manifest or "conformal" in manifest


def example_of(manifest: Mapping[str, Any]) -> pd.DataFrame | None:
    """Return the manifest's example rows as a frame with the signature's types; None when they do not match.

    A missing value in an integer column has no such type, and MLflow would refuse its own example.
    """
    import pandas as pd

    if not manifest.get("example"):
        return None
    names = [feature["name"] for feature in manifest["features"]]
    frame = pd.DataFrame(list(manifest["example"]), columns=names)
    for feature in manifest["features"]:
        name, kind = feature["name"], _type(feature)
        if kind == "string":
            frame[name] = frame[name].astype("object")
        elif kind == "datetime":
            frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601").dt.tz_localize(None)
        elif kind in ("double", "float"):
            frame[name] = frame[name].astype("float64" if kind == "double" else "float32")
        elif frame[name].isna().any():
            return None
        else:
            frame[name] = frame[name].astype({"long": "int64", "integer": "int32", "boolean": "bool"}[kind])
    return frame


def _type(feature: Mapping[str, Any]) -> str:
    """Return MLflow's type for a feature. Text and categories are strings unless they are numbers."""
    kind = str(feature["type"]).lower()
    if kind in TYPES:
        return TYPES[kind]
    if kind in INTEGERS:
        return "integer"
    if kind in ("int64", "uint32", "uint64"):
        return "long"
    return "double" if feature["kind"] == "number" else "string"
