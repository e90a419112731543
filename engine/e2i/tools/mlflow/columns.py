"""Derive the outputs of ``mlflow.*`` while planning. In: known parameters. Out: what is known of the outputs."""

from __future__ import annotations

from e2i.catalog.columns import Flow, Given, KnownModel
from e2i.catalog.files import Files


def register(given: Given, files: Files) -> Flow:
    model = given["model"]
    return Flow({"version": model} if isinstance(model, KnownModel) else {})


def load(given: Given, files: Files) -> Flow:
    """Return the outputs of a load. Both may be null if the spec asks for it."""
    return Flow(may_be_null=frozenset({"model", "version"} if given["missing"] is None else ()))


def promote(given: Given, files: Files) -> Flow:
    version = given["version"]
    return Flow({"version": version} if isinstance(version, KnownModel) else {})
