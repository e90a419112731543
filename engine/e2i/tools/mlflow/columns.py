"""How models flow through ``mlflow.*``. In: parameters as far as they are known. Out: what is known of the outputs."""

from __future__ import annotations

from e2i.catalog.columns import Flow, Given, KnownModel
from e2i.catalog.files import Files


def register(given: Given, files: Files) -> Flow:
    model = given["model"]
    return Flow({"version": model} if isinstance(model, KnownModel) else {})


def load(given: Given, files: Files) -> Flow:
    """Nothing is null unless the spec asks for it."""
    return Flow(never_null=frozenset() if given["missing"] is None else frozenset({"model", "version"}))


def promote(given: Given, files: Files) -> Flow:
    version = given["version"]
    return Flow({"version": version} if isinstance(version, KnownModel) else {})
