"""Plugins that MLflow imports with its first request are loaded before it, except those that e2i does not use."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from msgspec import Struct

from e2i.tools.mlflow.plugins import load_header_providers

REGISTRY = "mlflow.tracking.request_header.registry"


class Headers:
    def in_context(self) -> bool:
        return True

    def request_headers(self) -> dict[str, str]:
        return {"x-team": "churn"}


class Plugin(Struct):
    """An entry point of a distribution."""

    name: str
    provider: type | None

    def load(self) -> type:
        assert self.provider is not None, "this one takes seconds to import"
        return self.provider


def test_plugins_are_loaded_before_the_first_request_but_for_the_one_of_feast(monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow.tracking.request_header
    from mlflow.utils import plugins

    def installed(group: str) -> list[Any]:
        return [Plugin("feast", None), Plugin("team", Headers)] if group == "mlflow.request_header_provider" else []

    monkeypatch.setattr(plugins, "get_entry_points", installed)
    monkeypatch.delitem(sys.modules, REGISTRY, raising=False)
    monkeypatch.delattr(mlflow.tracking.request_header, "registry", raising=False)
    load_header_providers()
    assert sys.modules[REGISTRY].resolve_request_headers()["x-team"] == "churn"
    assert plugins.get_entry_points is installed


def test_the_plugin_that_is_left_out_is_installed_under_that_name() -> None:
    from importlib.metadata import entry_points

    (found,) = [item for item in entry_points(group="mlflow.request_header_provider") if item.name == "feast"]
    assert found.value.startswith("feast.infra.data_sources.mlflow")
