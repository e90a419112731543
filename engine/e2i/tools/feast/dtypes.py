"""Names of feature types. In: what a program writes. Out: one of ``FeatureType``."""

from __future__ import annotations

import re
from typing import Any, get_args

from e2i.errors import BadInput
from e2i.spec.suggest import hint
from e2i.tools.feast import FeatureType

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
OTHER_NAMES: dict[str, FeatureType] = {
    "int": "int64",
    "integer": "int64",
    "long": "int64",
    "float": "float64",
    "double": "float64",
    "number": "float64",
    "boolean": "bool",
    "str": "string",
    "object": "string",
    "text": "string",
    "datetime": "timestamp",
    "unixtimestamp": "timestamp",
    "unix_timestamp": "timestamp",
}
"""Names that Python, NumPy, pandas and Feast have for the same types."""


def feature_type(given: Any) -> FeatureType:
    """Return the type of a name in any case, or of a type of Python, NumPy, pandas or Feast. Raises BadInput."""
    text = given.__name__ if isinstance(given, type) else str(getattr(given, "name", given))
    name = text.lower()
    for known in get_args(FeatureType):
        if name == known:
            return known  # type: ignore[no-any-return]
    if name in OTHER_NAMES:
        return OTHER_NAMES[name]
    if name.startswith("datetime64"):
        return "timestamp"
    raise BadInput(
        f"there is no dtype {text!r:.80}", code="unknown-dtype", hint=hint(name, get_args(FeatureType), most=10)
    )
