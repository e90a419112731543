"""The same spec with the same seed: the same plan and the same results, however many workers there are (F53)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from chaos import pipelines

SPEC = """version: 1
name: determined
steps:
  data: {uses: dataset.hcp, with: {rows: 600}}
  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}}
  tune:
    uses: optuna.tune
    with: {train: "${{ steps.split.train }}", validation: "${{ steps.split.validation }}", target: target,
      algorithm: LogisticRegression, features: [call_frequency, sample_frequency], trials: 2}
  train:
    matrix: {algorithm: [XGBoost, LogisticRegression]}
    uses: model.train
    with: {table: "${{ steps.split.train }}", target: target, algorithm: "${{ matrix.algorithm }}",
      features: [call_frequency, sample_frequency]}
outputs:
  data: ${{ steps.data.journeys }}
  split: ${{ [steps.split.train, steps.split.validation, steps.split.test] }}
  best: ${{ steps.tune.best_params }}
  models: ${{ steps.train }}
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_runs_on_different_numbers_of_workers_agree(tmp_path: Path) -> None:
    plans, outputs = set(), set()
    for number in range(20):
        project = pipelines.make(tmp_path / str(number), SPEC, workers=(1, 2, 8)[number % 3])
        plans.add(project.plan(project.root / "spec.yaml").digest)
        record = project.run(project.root / "spec.yaml")
        outputs.add(json.dumps(record.to_json()["outputs"], sort_keys=True))
        shutil.rmtree(project.root, ignore_errors=True)
    assert len(plans) == 1
    assert len(outputs) == 1
