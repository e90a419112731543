"""A run that is bound to a plan: refused when anything that matters has changed, and never for anything else."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from e2i import api
from e2i.errors import InvalidSpec, Refused
from e2i.planning import binding
from e2i.planning.document import parse
from e2i.planning.model import Plan, PlanDocument
from mutation.good import Good, plain, specs
from project import Project
from properties.altering import altered
from properties.pipelines import pipeline
from properties.restyling import restyled

EDITS = 200
RUNNABLE = [12, pytest.param(40, marks=pytest.mark.slow)]
"""Edits of specs that are then executed; the others, of specs with real tools, are compared with the plan as a run is."""


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[api.Workspace, list[Good]]:
    """Specs with real tools and all of the language, in a workspace with the files that they read."""
    root = tmp_path_factory.mktemp("workspace")
    good = [one for one in specs(root) if one.entry == one.file]
    return api.Workspace.open(root=root, environ={}), good


def document(planned: Plan) -> PlanDocument:
    """The plan as ``e2i plan -o`` writes it and ``--plan`` reads it."""
    return parse(json.dumps(planned.to_json()).encode())


def written(workspace: api.Workspace, good: Good, text: str) -> Path:
    """The text under a name beside the spec's own, so that its parts are found."""
    path = workspace.root / good.file.replace(".yaml", "_edited.yaml")
    path.write_bytes(text.encode())
    return path


@pytest.mark.slow
def test_what_does_not_matter_is_never_refused(shipped: tuple[api.Workspace, list[Good]]) -> None:
    workspace, good = shipped
    rng, done = Random(1), Counter[str]()
    while done.total() < EDITS:
        one = rng.choice(good)
        approved = document(api.plan(workspace.root / one.file, workspace=workspace))
        name, text = restyled(one.text, one.data, rng)
        if text == one.text:
            continue
        binding.check(api.plan(written(workspace, one, text), workspace=workspace), approved)
        done[name] += 1
    assert min(done.values()) >= 5, done


@pytest.mark.slow
def test_what_matters_is_always_refused_and_named(shipped: tuple[api.Workspace, list[Good]]) -> None:
    workspace, good = shipped
    rng, done = Random(2), Counter[str]()
    while done.total() < EDITS or (min(done.values()) < 3 and done.total() < 3 * EDITS):
        one = rng.choice(good)
        found = altered(one.data, rng)
        if found is None:
            continue
        name, changed = found
        approved = document(api.plan(workspace.root / one.file, workspace=workspace))
        try:
            planned = api.plan(written(workspace, one, json.dumps(changed)), workspace=workspace)
        except InvalidSpec:
            continue
        with pytest.raises(Refused) as refused:
            binding.check(planned, approved)
            pytest.fail(f"{name} in {one.file}: {json.dumps(changed)}")
        assert refused.value.code == "plan-changed"
        assert "its digest differs" not in refused.value.message, name
        done[name] += 1
    assert min(done.values()) >= 3, done


@pytest.mark.parametrize("runs", RUNNABLE)
def test_a_bound_run_is_executed_or_refused(project: Project, runs: int) -> None:
    """The same with runs, which are refused before anything is executed."""
    rng, accepted, refused = Random(3), 0, 0
    while accepted < runs or refused < runs:
        spec = pipeline(rng)
        try:
            approved = document(project.plan(spec))
            name, text = restyled(json.dumps(spec, indent=1), spec, rng)
            project.run(plain(text), bound_to=approved)
            accepted += 1
            found = altered(spec, rng)
            if found is None:
                continue
            name, changed = found
            project.plan(changed)
        except InvalidSpec:
            continue
        with pytest.raises(Refused, match="no longer matches"):
            project.run(changed, bound_to=approved)
            pytest.fail(f"{name}: {changed}")
        assert not project.events
        refused += 1


@pytest.mark.parametrize(
    ("uses", "given", "file", "text"),
    [
        ("python.call", {"file": "steps.py", "function": "f", "arguments": {"x": "${{ steps.a.value }}"}}, "steps.py", "def f(x):\n    return 2\n"),
        ("data.load", {"path": "a.csv"}, "a.csv", "x,y\n1,2\n"),
        ("./part.yaml", {"x": "${{ steps.a.value }}"}, "part.yaml", ""),
    ],
)  # fmt: skip
def test_a_file_that_a_step_reads_matters(project: Project, uses: str, given: Any, file: str, text: str) -> None:
    project.write("steps.py", "def f(x):\n    return 1\n")
    project.write("a.csv", "x,y\n1,1\n")
    spec = {
        "version": 1,
        "name": "files",
        "steps": {"a": {"uses": "debug.echo", "with": {"value": 1}}, "b": {"uses": uses, "with": given}},
    }
    approved = document(project.plan(spec))
    project.run(spec, bound_to=approved)
    project.run(spec, bound_to=approved)  # also when there are results, which say more than the first plan knew
    before = (project.root / file).read_text("utf-8")
    project.write(file, text or before.replace('"default": 2', '"default": 3'))
    with pytest.raises(Refused, match=r"b.* differs"):
        project.run(spec, bound_to=approved)
