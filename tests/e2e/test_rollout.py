"""The flagship's source and roll-out: rows in a database, bad rows apart, a regression taken back, a model promoted."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn.metrics import log_loss

from e2e import native_model
from e2e.sandbox import Run

WRONG = {
    "XH0000001": "expect_column_values_to_be_in_set(brand)",
    "XH0000002": "expect_column_values_to_be_between(call_frequency)",
    "XH0000003": "expect_column_values_to_not_be_null(target)",
}


def test_the_database_holds_the_journeys_and_the_planted_rows(conversion: Run) -> None:
    with closing(sqlite3.connect(f"file:{conversion.store}/database/local.db?mode=ro", uri=True)) as database:
        keys = [key for (key,) in database.execute("SELECT hcp_id FROM journeys")]
    assert sorted(keys) == sorted([*conversion.frame("data", "journeys")["hcp_id"], *WRONG])


def test_each_planted_row_is_quarantined_for_its_reason_and_no_other_row(conversion: Run) -> None:
    bad = conversion.frame("quality", "quarantined")
    assert dict(zip(bad["hcp_id"], bad["failed_expectations"], strict=True)) == WRONG
    assert set(conversion.frame("join")["hcp_id"]) == set(conversion.frame("data", "journeys")["hcp_id"])


@pytest.mark.parametrize(
    ("loss", "answers", "package", "model"),
    [("bad_loss", "bad_answers", "package_broken", "broken"), ("loss", "answers", "package", "train")],
)
def test_a_canary_is_judged_by_what_it_answered(
    loss: str, answers: str, package: str, model: str, conversion: Run
) -> None:
    (figures,) = conversion.frame(loss).to_dict("records")
    asked, tag = conversion.frame(answers, "predictions"), conversion.outputs(package)["bento"]["tag"]
    test = conversion.frame("split", "test").head(len(asked))
    own = (asked["bento"] == tag).to_numpy()
    assert 0 < own.sum() == figures["requests"] < len(asked)
    for name, judged in (("champion", "champion"), ("canary", model)):
        predicted = native_model.predict(conversion.path(conversion.outputs(judged)["model"]), test[own])
        assert figures[name] == pytest.approx(log_loss(test[own]["target"], predicted), abs=1e-6)
    assert asked[own].groupby("hcp_id").size().sum() == own.sum()
    assert not set(asked[own]["hcp_id"]) & set(asked[~own]["hcp_id"])  # one HCP has one model


def test_the_regression_is_rolled_back_and_the_better_model_is_in_production(conversion: Run) -> None:
    outputs = conversion.end["outputs"]
    assert outputs["regression_rolled_back"] and outputs["promoted"]
    assert conversion.outputs("rollback")["endpoint"]["bento"] == conversion.outputs("package_champion")["bento"]["tag"]
    assert conversion.outputs("roll_out")["endpoint"]["bento"] == outputs["bento"]["tag"]
    assert conversion.outputs("roll_out")["endpoint"]["share"] == 100
    client = MlflowClient(f"sqlite:///{conversion.store}/mlflow/mlflow.db")
    stages = {int(one.version): one.tags["stage"] for one in client.search_model_versions("name='hcp_conversion'")}
    champion = conversion.outputs("register_champion")["version"]["version"]
    assert stages == {champion: "archived", outputs["version"]["version"]: "production"}


def test_the_endpoint_has_ended_with_the_run(conversion: Run) -> None:
    assert conversion.outputs("undeploy") == {"name": "hcp_conversion"}
    assert not list((conversion.store / "bentoml" / "endpoints").glob("*/endpoint.json"))


def test_interactions_add_up_to_the_values(conversion: Run) -> None:
    pairs, values = conversion.frame("explain", "interactions"), conversion.frame("explain", "values")
    features = list(conversion.end["outputs"]["importance"])
    for row, part in pairs.groupby("row"):
        own = values.loc[values["row"] == row, part["feature"]].to_numpy()[0]
        assert np.abs(part[features].sum(axis=1).to_numpy() - own).max() <= 1e-3
