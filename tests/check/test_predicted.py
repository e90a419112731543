"""What is foreseen of steps' outputs, held against what the actions really give, in this process."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pandas as pd
import pytest

import prediction
from context import LocalContext
from e2i.catalog.artifacts import read_artifacts
from e2i.catalog.registry import BUILT_IN
from e2i.check import order
from e2i.workspace.files import WorkspaceFiles
from e2i.workspace.paths import Roots

TABLES = """
version: 1
name: tables
steps:
  load:
    uses: data.load
    with: {path: t.csv, types: {id: string, n: integer}, parse_dates: [at], columns: [at, id, n, x, y]}
  whole: {uses: data.load, with: {path: t.parquet}}
  narrow: {uses: data.select, with: {table: "${{ steps.load.table }}", exclude: [at]}}
  split: {uses: data.split, with: {table: "${{ steps.narrow.table }}", strategy: entity, by: id}}
  train:
    uses: model.train
    matrix: {algorithm: [Ridge, Lasso]}
    with:
      table: ${{ steps.split.train }}
      validation: ${{ steps.split.validation }}
      target: y
      exclude: [id]
      algorithm: ${{ matrix.algorithm }}
  choose: {uses: model.select, with: {candidates: "${{ steps.train }}", table: "${{ steps.split.validation }}"}}
  predict:
    uses: model.predict
    with: {model: "${{ steps.choose.model }}", table: "${{ steps.split.test }}", keep: [id, y]}
  judge:
    uses: model.evaluate
    with: {model: "${{ steps.choose.model }}", table: "${{ steps.split.test }}", plots: false}
  high: {uses: table.derive, with: {table: "${{ steps.split.train }}", columns: {high: n > 30}}}
  classify:
    uses: model.train
    with: {table: "${{ steps.high.table }}", target: high, features: [x, y], algorithm: LogisticRegression}
  classes: {uses: model.predict, with: {model: "${{ steps.classify.model }}", table: "${{ steps.split.test }}"}}
"""

FEATURES = """
version: 1
name: features
steps:
  data: {uses: dataset.hcp, with: {rows: 80}}
  features:
    uses: feast.apply
    with:
      project: p
      entities: {hcp: {join_key: hcp_id}}
      views:
        all: {table: "${{ steps.data.history }}", entity: hcp, timestamp: event_timestamp, created: created, push: true}
        some:
          table: ${{ steps.data.history }}
          entity: [hcp]
          timestamp: event_timestamp
          features: {noise: float64, age: float32, created: timestamp}
      services: {scoring: ["some:noise", "all:copay"]}
  join:
    uses: feast.historical_features
    with:
      repo: ${{ steps.features.repo }}
      table: ${{ steps.data.journeys }}
      timestamp: observation_date
      features: ["some:age", "all:patients", "some:created", "all:copay"]
      keep: [target, hcp_id]
  prefixed:
    uses: feast.historical_features
    with:
      repo: ${{ steps.features.repo }}
      table: ${{ steps.data.journeys }}
      timestamp: observation_date
      features: [all, some]
      full_feature_names: true
  added:
    uses: feast.push
    with: {repo: "${{ steps.features.repo }}", view: all, table: "${{ steps.data.history }}"}
  serviced:
    uses: feast.historical_features
    with:
      repo: ${{ steps.added.repo }}
      table: ${{ steps.data.journeys }}
      timestamp: observation_date
      features: service:scoring
      keep: [hcp_id]
  described: {uses: feast.statistics, with: {repo: "${{ steps.added.repo }}", view: some}}
  publish: {uses: feast.materialize, with: {repo: "${{ steps.features.repo }}", views: [all]}}
  lookup:
    uses: feast.online_features
    with:
      repo: ${{ steps.features.repo }}
      features: ["all:rx_volume", "all:age"]
      table: ${{ steps.data.journeys }}
      until: ${{ steps.publish.until }}
"""


GATES = """
version: 1
name: gates
steps:
  data: {uses: dataset.hcp, with: {rows: 80}}
  apart:
    uses: great_expectations.validate
    with:
      table: ${{ steps.data.journeys }}
      suite: [{type: expect_column_values_to_be_in_set, column: brand, value_set: [Kisqali]}]
      on_failure: quarantine
      reason_column: why
  passed:
    uses: great_expectations.validate
    with: {table: "${{ steps.apart.table }}", suite: default, target: target, on_failure: warn}
  propose: {uses: great_expectations.profile, with: {table: "${{ steps.apart.quarantined }}", name: p, exclude: [why]}}
"""


def execute(text: str, ctx: LocalContext) -> None:
    """Runs the steps one after the other, and compares what each gives with what was foreseen."""
    expanded, known = prediction.predict(text, WorkspaceFiles(Roots(ctx.workspace)))
    outputs: dict[str, Any] = {}
    for node in order.along(expanded):
        found = BUILT_IN.action(node.step.uses)
        assert found is not None
        params = found.params.model_validate(read_artifacts(expanded.resolve(node.step.with_, node, outputs)))
        given = BUILT_IN.function(node.step.uses)(params, ctx)
        given = asyncio.run(given) if inspect.isawaitable(given) else given
        outputs[node.id] = given.model_dump(mode="json")
        assert list(prediction.untrue(known[node.id], outputs[node.id])) == [], node.id
        for name, value in outputs[node.id].items():
            if isinstance(value, dict) and value.get("type") == "table":
                assert prediction.columns(known[node.id], name) == [column["name"] for column in value["columns"]]


def test_files_splits_and_models_of_numbers(ctx: LocalContext) -> None:
    rows = range(60)
    frame = pd.DataFrame(
        {
            "id": [f"{row:03d}" for row in rows],
            "n": list(rows),
            "x": [row % 7 / 2 for row in rows],
            "y": [row * 1.5 for row in rows],
            "at": [f"2024-01-{row % 28 + 1:02d}" for row in rows],
        }
    )
    frame.to_csv(ctx.workspace / "t.csv", index=False)
    frame.to_parquet(ctx.workspace / "t.parquet")
    execute(TABLES, ctx)


@pytest.mark.slow
def test_rows_that_are_quarantined_and_rows_that_go_on(ctx: LocalContext) -> None:
    execute(GATES, ctx)


def test_features_at_points_in_time_and_online(ctx: LocalContext) -> None:
    execute(FEATURES, ctx)
