"""A thousand mistakes in good specs: refused before anything runs, at the right place, and mended where it is certain how."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from e2i import api
from mutation.good import Good, specs
from mutation.judge import Judgement, Rates, judge, table
from mutation.mutate import EACH, KINDS, corpus

SAMPLE = 2
"""Mutants of one kind that the default tests take: almost two hundred in all."""
THOUSAND = 14
"""Mutants of one kind that make a thousand in all."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def workspace(good: list[Good], root: Path) -> api.Workspace:
    """A workspace that holds the good specs and what they read."""
    return api.Workspace.open(root=root, environ={})


@pytest.fixture(scope="module")
def good(root: Path) -> list[Good]:
    return specs(root)


@pytest.fixture(
    scope="module",
    params=[SAMPLE, pytest.param(THOUSAND, marks=pytest.mark.slow), pytest.param(EACH, marks=pytest.mark.sweep)],
)
def each(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def judgements(each: int, good: list[Good], workspace: api.Workspace) -> list[Judgement]:
    return [judge(mutant, workspace) for mutant in corpus(good, each=each)]


def test_the_good_specs_have_no_problems(good: list[Good], workspace: api.Workspace) -> None:
    found = {one.file: api.validate(workspace.root / one.file, workspace=workspace).errors for one in good}
    assert {file: problems for file, problems in found.items() if problems} == {}
    assert len(good) >= 20


def test_a_thousand_mistakes_are_refused_at_the_right_line_and_column(judgements: list[Judgement], each: int) -> None:
    rates = Rates.of(judgements)
    assert rates.count >= 1_000 * min(each / THOUSAND, 1)
    assert len(KINDS) == len({one.mutant.kind for one in judgements}) >= 25
    wrong = [str(one) for one in judgements if not (one.is_refused and one.is_right)]
    assert rates.right / rates.count >= 0.99, "\n".join([*wrong, table(judgements)])


def test_no_kind_of_mistake_is_overlooked(judgements: list[Judgement]) -> None:
    counts = Counter(one.mutant.kind for one in judgements)
    right = Counter(one.mutant.kind for one in judgements if one.is_refused and one.is_right)
    assert {kind: right[kind] / count for kind, count in counts.items() if right[kind] < 0.8 * count} == {}


def test_what_is_certain_is_mended(judgements: list[Judgement], each: int) -> None:
    rates = Rates.of(judgements)
    left = [str(one) for one in judgements if one.mutant.certain and not one.is_mended]
    assert rates.certain >= 300 * min(each / THOUSAND, 1)
    assert rates.fixed / rates.certain >= 0.90, "\n".join([*left, table(judgements)])


def test_a_mend_says_what_was_meant(judgements: list[Judgement]) -> None:
    rates = Rates.of(judgements)
    other = [str(one) for one in judgements if one.is_mended and not one.is_restored]
    assert rates.restored / rates.fixed >= 0.99, "\n".join(other)


def test_the_corpus_is_the_same_each_time(good: list[Good]) -> None:
    assert corpus(good[:6], each=3) == corpus(good[:6], each=3)
