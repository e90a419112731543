"""Bits flip and files are cut or swapped, in the cache and in the state: never a wrong result, never a traceback (F11)."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from chaos import pipelines, rot
from chaos.conftest import Amount
from e2i.errors import E2IError, Exit
from e2i.planning.model import Plan, Verdict
from e2i.store.digests import digest_of
from project import Project

SPEC = """version: 1
name: rots
steps:
  data: {uses: dataset.hcp, with: {rows: 200}}
  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: random}}
  train:
    uses: model.train
    with: {table: "${{ steps.split.train }}", target: target, algorithm: LogisticRegression,
      features: [call_frequency, sample_frequency]}
  said: {uses: debug.echo, with: {value: ["${{ steps.split.train }}", 1, text]}}
outputs: {said: "${{ steps.said.value }}", model: "${{ steps.train.model }}"}
"""
RUN_EVERY = 200
"""Every corrupt store is planned from. Where the plan finds all that it needs in a corrupt state, and else this often,
the spec is run, too.
"""


def test_some_damages(tmp_path: Path, amount: Amount) -> None:
    assert corrupt_often(tmp_path, amount, 20) == []


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_ten_thousand_damages(tmp_path: Path, amount: Amount) -> None:
    assert corrupt_often(tmp_path, amount, amount.corruptions) == []


def corrupt_often(folder: Path, amount: Amount, times: int) -> list[str]:
    """Corrupts a finished store that many times. Returns what was reused but is not intact, and what was raised."""
    project = pipelines.make(folder / "project", SPEC)
    spec = project.root / "spec.yaml"
    record = project.run(spec)
    with contextlib.closing(sqlite3.connect(project.store / "state.db")) as held:
        held.execute("SELECT count(*) FROM runs").fetchone()  # as long as somebody reads, the write-ahead log stays
        again = project.run(spec)
        store = rot.Store(project.store)
    expected = {step: facts.outputs for step, facts in again.steps.items()}
    assert record.status == "succeeded" and again.outputs == record.outputs
    assert any(path.stat().st_size for path in project.store.glob("state.db*"))
    came_of: Counter[str] = Counter()

    def judge(seed: int) -> list[str]:
        store.restore()
        done = store.corrupt(random.Random(seed))
        try:
            plan = project.plan(spec)
            found = wrongly_reused(project, plan, expected)
            if seed % RUN_EVERY == 0 or (done.startswith("state") and plan.summary == {"reuse": len(expected)}):
                found += wrongly_run(project, expected)
            came_of["used"] += 1
        except E2IError as error:
            came_of[error.code] += 1
            found = [] if error.exit_code == Exit.UNAVAILABLE else [f"exit code {error.exit_code}: {error}"]
        except Exception as error:  # noqa: BLE001 - whatever it is, a user would have seen a traceback
            found = [f"traceback: {type(error).__name__}: {error}"]
        return [f"{done}: {failure}" for failure in found]

    failures = amount.alone().each(range(times), judge)
    with amount.shown():
        print(f"\n{amount.name}: {dict(came_of)}", file=sys.stderr, flush=True)
    return failures


def wrongly_reused(project: Project, plan: Plan, expected: Mapping[str, Any]) -> list[str]:
    """The steps that a plan would reuse although what they gave is not as it was."""
    found = []
    for step in plan.steps:
        for digest in digests(expected[step.id]) if step.verdict is Verdict.REUSE else ():
            file = project.store / "objects" / digest[7:9] / digest[9:]
            if not file.exists() or digest_of(file) != digest:
                found.append(f"{step.id} would be reused, but {digest} is corrupt")
    return found


def wrongly_run(project: Project, expected: Mapping[str, Any]) -> list[str]:
    """What a run of the spec gives that an intact one would not."""
    record = project.run(project.root / "spec.yaml")
    if record.status != "succeeded":
        return [f"the run {record.status}: {[facts.error for facts in record.steps.values() if facts.error]}"]
    found = [
        f"{step} {facts.status} with {json.dumps(facts.outputs)}"
        for step, facts in record.steps.items()
        if facts.outputs != expected[step]
    ]
    return found + wrongly_reused(project, project.plan(project.root / "spec.yaml"), expected)


def digests(value: Any) -> list[str]:
    """All digests of artifacts in plain data."""
    if isinstance(value, dict):
        own = [value["digest"]] if "type" in value and "digest" in value else []
        return own + [digest for item in value.values() for digest in digests(item)]
    return [digest for item in value for digest in digests(item)] if isinstance(value, list) else []
