"""Addresses and filters: what is let through, and how it is written."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from e2i.errors import BadInput
from e2i.tools.mlflow import MLflowSettings
from e2i.tools.mlflow.filters import Condition, attribute, render, tag
from e2i.tools.mlflow.runs import key_of


@pytest.mark.parametrize(
    "address",
    [
        "mysql+pymysql://u@evil.test/db?local_infile=1",
        "postgresql://u:p@10.0.0.5/db?service=x&passfile=/etc/passwd",
        "http://host/\r\nX-Injected: 1",
        "file:///tmp/mlruns",
        "http:///nohost",
        "databricks",
    ],
)
def test_an_address_that_is_not_meant_is_refused(address: str) -> None:
    with pytest.raises(BadInput, match="settings of mlflow: tracking_uri"):
        MLflowSettings(tracking_uri=address)


@pytest.mark.parametrize("address", ["http://mlflow:5000", "postgresql://u:p@db:5432/mlflow?sslmode=require"])
def test_a_server_or_a_database_is_an_address(address: str) -> None:
    assert MLflowSettings(tracking_uri=address).tracking_uri == address


def test_the_identity_names_the_servers_without_credentials_and_is_empty_when_embedded() -> None:
    assert MLflowSettings().identity() == {}
    settings = MLflowSettings(
        tracking_uri="postgresql://u:p@db/mlflow", registry_uri="https://u:p@models.test", experiment_prefix="team/"
    )
    assert settings.identity() == {
        "tracking_uri": "postgresql://db/mlflow",
        "registry_uri": "https://models.test",
        "experiment_prefix": "team/",
    }


def test_conditions_become_a_filter() -> None:
    conditions = [
        attribute("status", "FINISHED"),
        tag("e2i.run", "r-1"),
        Condition(of="metrics", key="a/b", op="gt", value=0.5),
    ]
    assert render(*conditions) == "status = 'FINISHED' AND tags.`e2i.run` = 'r-1' AND metrics.`a/b` > 0.5"


@pytest.mark.parametrize("value", ["x' OR 1=1", 'x"', "a`b", "line\nbreak", "back\\slash"])
def test_a_value_that_could_end_its_quotes_is_refused(value: str) -> None:
    with pytest.raises(BadInput):
        render(attribute("status", value))


def test_a_key_that_could_end_its_quotes_is_refused() -> None:
    with pytest.raises(ValidationError):
        tag("x` OR `y", "1")


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("train", "roc_auc"), "train/roc_auc"),
        (("train[XGBoost]", "f1@0.5"), "train_XGBoost_/f1_0.5"),
        (("..", "x"), "_x"),
        (("{{ 7*7 }}",), "__ 7_7 __"),
    ],
)
def test_names_become_what_mlflow_takes(parts: tuple[str, ...], name: str) -> None:
    assert key_of(*parts) == name


def test_declaring_the_tool_imports_nothing_of_mlflow() -> None:
    code = "import sys, e2i.tools.mlflow, e2i.tools.bentoml; print({'mlflow', 'bentoml', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
