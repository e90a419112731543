"""Kept journals are decided today as they were recorded: a planner that changes without a version is named.

``UPDATE_GOLDEN=1 pytest tests/replay`` records the journals again: after a change that is meant.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from e2i.planning import build, fingerprint
from e2i.planning.build import Planner
from project import Project
from replay import journal
from replay.journal import KeptRun

JOURNALS = Path(__file__).with_name("journals")
MODEL = """version: 1
name: model
params: {rows: {type: integer, default: 300}, seed: {type: integer, default: 3}}
steps:
  data: {uses: dataset.hcp, with: {rows: "${{ params.rows }}"}}
  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}}
  train:
    uses: model.train
    with: {table: "${{ steps.split.train }}", target: target, features: [brand, specialty], params: {max_depth: 2}}
  test: {uses: model.evaluate, with: {model: "${{ steps.train.model }}", table: "${{ steps.split.test }}"}}
outputs: {metrics: "${{ steps.test.metrics }}"}
"""
FLOW = """version: 1
name: flow
params: {n: {type: integer, default: 1}, seed: {type: integer, default: 0}}
steps:
  first: {uses: debug.echo, with: {value: "${{ params.n }}"}}
  each:
    uses: debug.echo
    matrix: {size: [1, 2]}
    with: {value: "${{ steps.first.value + matrix.size }}"}
  all: {uses: debug.echo, with: {value: "${{ steps.each }}"}}
  large: {uses: debug.echo, when: "${{ steps.first.value > 5 }}", with: {value: large}}
  after: {uses: debug.echo, with: {value: "${{ steps.large.value | default('none') }}"}}
  never: {uses: debug.echo, when: false, with: {value: 1}}
  again: {uses: debug.echo, cache: false, with: {value: 1}}
finally:
  end: {uses: debug.echo, with: {value: done}}
"""
FILES = """version: 1
name: files
steps:
  load: {uses: data.load, with: {path: people.csv}}
  some: {uses: data.select, with: {table: "${{ steps.load.table }}", where: [{column: age, op: gt, value: 30}]}}
  call: {uses: python.call, with: {file: own.py, function: count, arguments: {rows: "${{ steps.some.table.rows }}"}}}
"""
OWN = "def count(rows):\n    return rows + 1\n"
PEOPLE = "name,age\nann,41\nbob,17\ncid,33\n"
ASKED = {
    "model": (KeptRun(spec=MODEL), KeptRun(spec=MODEL), KeptRun(spec=MODEL.replace("max_depth: 2", "max_depth: 3")),
              KeptRun(spec=MODEL, params={"rows": 301}), KeptRun(spec=MODEL, params={"seed": 4})),
    "flow": (KeptRun(spec=FLOW), KeptRun(spec=FLOW), KeptRun(spec=FLOW, params={"n": 7}), KeptRun(spec=FLOW, params={"n": 7}),
             KeptRun(spec=FLOW.replace("size: [1, 2]", "size: [2, 3]"))),
    "files": (KeptRun(spec=FILES, files={"people.csv": PEOPLE, "own.py": OWN}), KeptRun(spec=FILES),
              KeptRun(spec=FILES, files={"people.csv": PEOPLE + "dot,50\n"}), KeptRun(spec=FILES, files={"own.py": f"{OWN}#\n"})),
}  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
def test_each_kept_journal_is_decided_as_it_was_recorded(name: str, tmp_path: Path) -> None:
    path = JOURNALS / f"{name}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_bytes(journal.written(journal.record(Project(tmp_path / "recorded"), ASKED[name])))
    kept = journal.load(path)
    assert [replace(run, steps=()) for run in kept.runs] == list(ASKED[name]), "record it again: UPDATE_GOLDEN=1"
    assert list(journal.replay(kept, Project(tmp_path / "replayed"))) == []


def test_a_change_of_the_planner_without_a_version_is_named_with_step_and_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = journal.load(JOURNALS / "flow.json")
    project = Project(tmp_path)
    digest = fingerprint.digest

    with monkeypatch.context() as changed:
        changed.setattr(fingerprint, "digest", lambda value: digest(["other", value]))
        found = list(journal.replay(kept, project))
    assert (
        "run 1, step first: its fingerprint has changed without a new version of debug.echo (how a fingerprint is computed)"
        in found
    )
    settled = fingerprint.settled
    with monkeypatch.context() as changed:
        changed.setattr(build.fingerprint, "settled", lambda known, params: settled(known, {**params, "new": 1}))
        found = list(journal.replay(kept, project))
    assert any("step first" in each and "input-changed: new" in each for each in found), found
    decide = Planner._always
    with monkeypatch.context() as changed:
        changed.setattr(
            Planner,
            "_always",
            lambda self, node, action, params: None if node.id == "again" else decide(self, node, action, params),
        )
        found = list(journal.replay(kept, project))
    assert any(each.startswith("run 2, step again: planned as") for each in found), found
    action = msgspec.structs.replace
    with monkeypatch.context() as changed:
        original = Planner.action
        changed.setattr(Planner, "action", lambda self, node: action(original(self, node), version=99))
        assert list(journal.replay(kept, project)) == [], "a change with a version may be decided otherwise"
