"""The share of data, code, parameters and seed in the change of a metric."""

from __future__ import annotations

import json
import math
import random
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from e2i.errors import BadInput
from e2i.reruns import explaining, shapley
from e2i.reruns.explanation import ExplanationDocument
from e2i.reruns.files import PartLost
from project import Project

SPEC = """\
version: 1
name: planted
params:
  weight: {type: number, default: 1}
  seed: {type: integer, default: 1}
steps:
  load: {uses: data.load, with: {path: rows.csv}}
  kept: {uses: data.write, with: {table: "${{ steps.load.table }}", path: out.csv, mode: replace}}
  score:
    uses: python.call
    with:
      file: code.py
      function: score
      arguments: {table: "${{ steps.load.table }}", weight: "${{ params.weight }}", seed: "${{ params.seed }}", offset: 5}
  metrics:
    uses: python.call
    with: {file: code.py, function: metrics, arguments: {value: "${{ steps.score.value }}"}}
outputs:
  score: ${{ steps.metrics.value.score }}
"""
CODE = """\
BONUS = {bonus}


def score(table, weight, seed, offset):
    return float(table["x"].sum()) + {scale} * weight + seed * 10 + offset + BONUS


def metrics(value):
    return {{"score": value, "double": 2 * value}}
"""


class Repository(Project):
    """A project in git, whose runs are of commits."""

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True, capture_output=True)

    def state(self, x: float, bonus: float, *, scale: float = 1, offset: float = 5) -> None:
        self.write("rows.csv", f"x\n{x}\n1\n")
        self.write("code.py", CODE.format(bonus=bonus, scale=scale))
        self.write("spec.yaml", SPEC.replace("offset: 5", f"offset: {offset}"))
        self.write("config/policy.yaml", "human: {write_roots: ['.']}\n")
        self.write(".gitignore", ".e2i\nout.csv\n")
        if not (self.root / ".git").is_dir():
            self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-qm", "a state", "--allow-empty")

    def go(self, **params: float) -> str:
        record = self.run(self.root / "spec.yaml", params)
        assert record.status == "succeeded"
        return record.run

    def why(self, before: str, after: str, metric: str | None = None) -> ExplanationDocument:
        return explaining.explain(before, after, self.workspace, metric=metric)


def _shares(found: ExplanationDocument) -> dict[str, float]:
    assert math.fsum(one.share for one in found.factors) == found.change
    return {one.factor: one.share for one in found.factors}


def test_two_factors_take_two_re_runs_at_most_and_nothing_real_is_touched(tmp_path: Path) -> None:
    project = Repository(tmp_path)
    project.state(x=10, bonus=0)
    first, second = project.go(weight=1, seed=1), project.go(weight=4, seed=2)
    before = project.listing()
    found = project.why(first, second)
    assert _shares(found) == pytest.approx({"parameters": 3, "seed": 10})
    assert found.reruns == found.budget == 2 and project.listing() == before


@pytest.mark.slow
def test_planted_effects_are_recovered_and_effects_outside_are_not_repeated(tmp_path: Path) -> None:
    project = Repository(tmp_path)
    project.state(x=10, bonus=0)
    first = project.go(weight=1, seed=1)
    project.state(x=13, bonus=20)
    second = project.go(weight=4, seed=2)
    (tmp_path / "out.csv").unlink()
    before = project.listing()
    said: list[explaining.Budget] = []
    found = explaining.explain(first, second, project.workspace, say=lambda budget: said.append(budget) is None)
    assert _shares(found) == pytest.approx({"data": 3, "code": 20, "parameters": 3, "seed": 10})
    assert found.metric == "score" and found.change == 36 and found.reruns <= found.budget == said[0].reruns == 14
    assert project.listing() == before and not (tmp_path / "out.csv").exists()


def test_shares_sum_exactly_and_are_the_mean_over_all_orders() -> None:
    chance = random.Random(3)
    for count in range(1, 5):
        factors = list("abcd"[:count])
        values = {second: chance.gauss(0, 10) for second in shapley.subsets(factors)}
        exact = shapley.shares(factors, values.__getitem__)
        change = Fraction(values[frozenset(factors)]) - Fraction(values[frozenset()])
        assert sum(exact.values()) == change
        assert math.fsum(shapley.rounded(exact, float(change)).values()) == float(change)
    game = {frozenset(): 0.0, frozenset("a"): 1.0, frozenset("b"): 2.0, frozenset("ab"): 5.0}
    assert shapley.shares(["a", "b"], game.__getitem__) == {"a": 2, "b": 3}


@pytest.mark.slow
def test_literals_interactions_and_metrics_by_name(tmp_path: Path) -> None:
    project = Repository(tmp_path)
    project.state(x=10, bonus=0)
    first = project.go(weight=1)
    project.state(x=10, bonus=0, scale=3, offset=7)
    second = project.go(weight=5)
    found = project.why(first, second, "metrics.value.double")
    assert _shares(found) == pytest.approx({"code": 12.0, "parameters": 20.0})  # half of the interaction each
    assert found.factors[1].changes[0].startswith("steps.score.with.arguments.offset 5 → 7")
    done = project.cli("why", first, second)
    assert done.returncode == 0 and "re-runs of" in done.stderr and "█" in done.stdout and "sum" in done.stdout
    dry = project.cli("why", first, second, "--dry-run", "--json")
    assert json.loads(dry.stdout)["factors"] == [] and "2 factors changed: code, parameters" in dry.stderr
    with pytest.raises(BadInput):
        project.why(first, second, "score.nothing")
    with pytest.raises(BadInput, match="no metric differs"):
        project.why(first, first)


@pytest.mark.slow
def test_code_that_is_gone_is_named(tmp_path: Path) -> None:
    project = Repository(tmp_path)
    project.state(x=10, bonus=0)
    project.write("code.py", CODE.format(bonus=2, scale=1))  # never committed
    first = project.go(weight=1)
    project.state(x=11, bonus=4)
    second = project.go(weight=1)
    with pytest.raises(PartLost, match=r"code\.py is no longer"):
        project.why(first, second)
