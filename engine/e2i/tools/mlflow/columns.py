"""How models flow through ``mlflow.*``. In: parameters as far as they are known. Out: what is known of the outputs."""

from __future__ import annotations

from e2i.catalog.columns import Flow, Given, KnownModel
from e2i.catalog.files import Files


def register(given: Given, files: Files) -> Flow:
    model = given["model"]
    return Flow({"version": model} if isinstance(model, KnownModel) else {})


def load(given: Given, files: Files) -> Flow:
    """Both outputs may be null if the spec asks for it."""
    return Flow(may_be_null=frozenset({"model", "version"} if given["missing"] is None else ()))


def promote(given: Given, files: Files) -> Flow:
    version = given["version"]
    return Flow({"version": version} if isinstance(version, KnownModel) else {})
