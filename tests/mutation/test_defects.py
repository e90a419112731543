"""Defects as language models make them: all are found, and nine of ten fixed by fixes and hints alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from e2i import api
from e2i.spec.problems import Problem
from mutation.defects import KINDS, Defect, corpus
from mutation.good import Good, specs
from mutation.test_agents import repaired

SEED = 20261201
ROUNDS = 2


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def good(root: Path) -> list[Good]:
    return [one for one in specs(root) if one.entry == one.file]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("each", "least"), [(5, 0.85), pytest.param(56, 0.9, marks=pytest.mark.slow)])
def test_defects_of_language_models_are_found_and_fixed(each: int, least: float, good: list[Good], root: Path) -> None:
    """Of nine kinds, 45 in the default tests and 504 in all. What a missing step did cannot always be known."""
    workspace = api.Workspace.open(root=root, environ={})
    before = {one.file: _said(api.validate(root / one.file, workspace=workspace).problems) for one in good}
    defects = corpus(good, each, SEED)
    assert Counter(one.kind for one in defects) == dict.fromkeys(KINDS, each)
    overlooked, left = [], []
    for defect in defects:
        file = root / defect.good.file
        file.write_text(defect.text, "utf-8")
        try:
            if not _said(api.validate(file, workspace=workspace).problems) - before[defect.good.file]:
                overlooked.append(_named(defect))
            text, errors = defect.text, ()
            for _ in range(ROUNDS):
                text, errors = repaired(text, workspace, file)
            if errors:
                left.append(f"{_named(defect)}: {errors[0]}")
        finally:
            file.write_text(defect.good.text, "utf-8")
    assert not overlooked
    assert 1 - len(left) / len(defects) >= least, "\n".join(left)


def _said(problems: tuple[Problem, ...]) -> Counter[str]:
    return Counter(f"{problem.code} {problem.message}" for problem in problems)


def _named(defect: Defect) -> str:
    return f"{defect.kind} in {defect.good.file}: {defect.what}"
