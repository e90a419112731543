"""Mutants of specs: which changes there are, which of them count, and which of them the cases of a spec kill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2i.documents import OutputValues
from e2i.testing import suite
from e2i.testing.mutation import wording
from e2i.testing.mutation.advice import Reached, advice
from e2i.testing.mutation.changes import Change, mutated
from e2i.testing.mutation.choosing import Mutant, choose
from e2i.testing.mutation.judging import Judge
from e2i.testing.running import Runner
from project import Project

SPEC = """\
version: 1
name: people
params:
  least: {type: integer, default: 18}
  seed: {type: integer, default: 7}
steps:
  load: {uses: data.load, with: {path: people.csv, types: {id: integer, age: integer, height: integer}}}
  adults:
    uses: data.select
    timeout: 1m
    with: {table: "${{ steps.load.table }}", where: [{column: age, op: ge, value: "${{ params.least }}"}]}
  tall:
    uses: data.select
    needs: [check]
    when: ${{ steps.adults.table.rows >= 2 and params.least > 3 }}
    with: {table: "${{ steps.adults.table }}", where: [{column: height, op: gt, value: 170}], columns: [id, height]}
  check:
    uses: debug.echo
    with: {value: "${{ steps.adults.table.rows }}"}
outputs:
  tall: ${{ steps.tall.table }}
"""
TESTS = """\
tests: ./people.yaml
cases:
  adults_are_kept:
    given: {load: {table: {rows: [{id: 1, age: 17, height: 150}, {id: 2, age: 18, height: 171}]}}}
    run: [adults]
    expect: {tables: {adults.table: {rows: [{id: 2}]}}}
  tall_people_are_kept:
    given: {adults: {table: {rows: [{id: 1, age: 20, height: 170}, {id: 2, age: 20, height: 171}]}}}
    run: [tall]
    expect: {holds: "${{ steps.tall.table.rows > 0 }}"}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.write("people.csv", "id,age,height\n1,17,150\n2,30,180\n")
    made.write("people.yaml", SPEC)
    made.write("people.test.yaml", TESTS)
    return made


def _mutants(project: Project, most: int = 200, seed: int = 0) -> tuple[suite.ReadyFile, list[Mutant]]:
    (ready,) = suite.load([str(project.root / "people.test.yaml")])
    return ready, choose([ready], most, seed)


def test_mutants_are_valid_specs_whose_plan_differs_and_a_seed_repeats_them(project: Project) -> None:
    ready, mutants = _mutants(project)
    names = {(one.change.kind, one.change.name) for one in mutants}
    assert ("number", "tall.where.0.value") in names and ("default", "least.default") in names
    assert ("column", "tall.where.0.column") in names and ("condition", "tall.when") in names
    assert ("choice", "adults.where.0.op") in names and ("reference", "tall.table") in names
    assert not any("timeout" in name or "seed" in name for _, name in names)
    (number,) = [one for one in mutants if one.change.name == "tall.where.0.value" and one.change.after == 171]
    assert ready.source.text.splitlines()[number.line - 1][number.column - 1 :].startswith("170")
    few = [one.change for one in _mutants(project, most=6, seed=3)[1]]
    assert few == [one.change for one in _mutants(project, most=6, seed=3)[1]] and len(few) == 6
    assert few != [one.change for one in _mutants(project, most=6, seed=4)[1]]


def test_a_case_kills_what_changes_what_it_asserts_and_survivors_say_what_would(project: Project) -> None:
    ready, mutants = _mutants(project)
    wanted = {
        ("adults.where.0.op", "ne"),
        ("tall.where.0.value", 171),
        ("tall.columns", "['id']"),
        ("least.default", 19),
    }
    found = {}
    with Runner(ready.workspace) as runner:
        judge = Judge(ready, runner)
        assert list(judge.run_unchanged()) == []
        for one in mutants:
            key = (
                one.change.name,
                one.change.after if not isinstance(one.change.after, list) else str(one.change.after),
            )
            if key in wanted:
                found[key[0]] = judge.judge(one.change)
    assert found["adults.where.0.op"].killed_by == "adults_are_kept"
    assert found["least.default"].killed_by == "adults_are_kept"
    assert found["tall.where.0.value"].killed_by == "tall_people_are_kept"
    survivor = found["tall.columns"]
    assert survivor.killed_by is None and "tall_people_are_kept: expect steps.tall.table" in survivor.advice


def test_conditions_change_outside_of_texts() -> None:
    found = list(wording.conditions("${{ steps.a.n >= 10 and params.b != 'x and > 1' }}"))
    assert found == [
        "${{ steps.a.n < 10 and params.b != 'x and > 1' }}",
        "${{ steps.a.n > 10 and params.b != 'x and > 1' }}",
        "${{ steps.a.n >= 10 and params.b == 'x and > 1' }}",
        "${{ steps.a.n >= 10 or params.b != 'x and > 1' }}",
        "${{ steps.a.n >= 11 and params.b != 'x and > 1' }}",
    ]
    assert [*wording.other_numbers(4), *wording.other_numbers(0.0), *wording.other_numbers(True)] == [5, 2, 0.1, -0.1]


def test_a_step_that_is_left_out_is_no_longer_needed() -> None:
    data = {"steps": {"a": {"uses": "x.y"}, "b": {"uses": "x.y", "needs": ["a"]}}}
    found = mutated(data, Change("dropped-step", ("steps", "a"), "a", "x.y", drop=True))
    assert found == {"steps": {"b": {"uses": "x.y", "needs": []}}} and "a" in data["steps"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (0.9663588287573667, 0.9635036969689251, "which is 0.9664 and becomes 0.9635, with a tolerance of 0.001"),
        (1204.25, 1310.0, "which is 1204.0 and becomes 1310.0, with a tolerance of 10"),
        (3, 4, "which is 3 and becomes 4"),
        (3, 3.5, "which is 3 and becomes 3.5, with a tolerance of 0.1"),
        ("a", "b", "which is a and becomes b"),
        (3.4406529135146076, 3.440653312355071, "differ by less than 0.01% (steps.s.x): add data"),
    ],
)
def test_advice_is_no_noise_of_numbers(old: object, new: object, said: str) -> None:
    outputs = [{"s": OutputValues({"x": value})} for value in (old, new)]
    change = Change("number", ("steps", "s"), "s.n", 1, after=2)
    assert said in advice(change, [Reached("case", *outputs)])


def test_advice_reads_what_differs_before_what_is_nearly_the_same() -> None:
    outputs = [{"s": OutputValues({"a": a, "b": b})} for a, b in ((1.0, "x"), (1.0000001, "y"))]
    assert "expect steps.s.b" in advice(Change("number", ("steps", "s"), "s.n", 1, after=2), [Reached("c", *outputs)])


@pytest.mark.slow
def test_fewer_mutants_than_asked_for_are_explained(project: Project) -> None:
    done = project.cli("test", "people.yaml", "--mutate", "500", "--json")
    found = json.loads(done.stdout)
    assert found["asked"] == 500 and f"({found['total']} do)" in found["few"]
    shown = project.cli("test", "people.yaml", "--mutate", "500").stdout
    assert f"{found['total']} mutants instead of 500: no other change of a value gives a valid spec" in shown


@pytest.mark.slow
def test_the_command_prints_survivors_and_fails_below_the_score(project: Project) -> None:
    done = project.cli("test", "people.yaml", "--mutate", "12", "--min-score", "100")
    assert done.returncode == 1 and "mutants killed" in done.stdout and "people.yaml:" in done.stdout
    found = json.loads(project.cli("test", "people.yaml", "--mutate", "12", "--json").stdout)
    assert found["total"] == 12 == len(found["mutants"]) and 0 < found["killed"] < 12 and found["broken"] == []
    project.write("people.test.yaml", TESTS.replace("{id: 2}]}}}", "{id: 3}]}}}"))
    broken = project.cli("test", "people.yaml", "--mutate", "4")
    assert broken.returncode == 1 and "fails without a mutant" in broken.stdout
