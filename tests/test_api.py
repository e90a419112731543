"""``e2i.validate``, ``e2i.plan`` and ``e2i.run`` from Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import e2i
from e2i import api
from e2i.errors import BadInput, InvalidSpec
from e2i.execution import session
from project import Project

MAPPING = {"version": 1, "name": "m", "steps": {"a": {"uses": "debug.echo", "with": {"value": [1, None]}}}}


def test_a_spec_is_a_path_text_or_a_mapping(project: Project) -> None:
    text = json.dumps(MAPPING, indent=1)
    path = project.write("m.yaml", text)
    digests = {project.plan(spec).digest for spec in (path, str(path), text, MAPPING)}
    assert len(digests) == 1


def test_results_are_typed_and_have_json(project: Project) -> None:
    validation = api.validate(MAPPING, workspace=project.workspace)
    assert validation.valid
    assert validation.to_json() == {"schema_version": 1, "valid": True, "problems": []}
    assert json.loads(json.dumps(project.plan(MAPPING).to_json()))["name"] == "m"
    record = project.run(MAPPING)
    assert json.loads(json.dumps(record.to_json()))["steps"]["a"]["status"] == "succeeded"


def test_the_package_offers_the_three_functions() -> None:
    assert (e2i.validate, e2i.plan, e2i.run) == (api.validate, api.plan, api.run)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        e2i.nothing  # noqa: B018


def test_problems_of_a_mapping_have_a_path(project: Project) -> None:
    wrong = {**MAPPING, "steps": {"a": {"uses": "debug.ecko"}}}
    with pytest.raises(InvalidSpec) as raised:
        project.plan(wrong)
    assert [problem.path for problem in raised.value.problems] == ["/steps/a/uses"]


def test_planning_and_validating_make_nothing(project: Project) -> None:
    before = project.listing()
    api.validate(MAPPING, workspace=project.workspace)
    project.plan(MAPPING)
    assert project.listing() == before


@pytest.mark.parametrize("spec", ["nowhere.yaml", ".", "", "x" * 5_000])
def test_a_spec_that_cannot_be_read_is_bad_input(project: Project, spec: str) -> None:
    with pytest.raises(BadInput) as raised:
        project.plan(spec)
    assert raised.value.code == "no-such-spec"


def test_a_workspace_is_where_one_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert api.Workspace.open(environ={}).store == tmp_path / ".e2i"
    assert api.Workspace.open(environ={"E2I_STORE": "kept"}).store == tmp_path / "kept"
    assert api.Workspace.open(store=Path("given"), environ={"E2I_STORE": "kept"}).store == tmp_path / "given"
    assert list(tmp_path.iterdir()) == []


def test_names_of_runs_sort_by_time_and_do_not_repeat() -> None:
    names = [session.new_run_id() for _ in range(50)]
    assert len(set(names)) == 50
    assert [name[:15] for name in names] == sorted(name[:15] for name in names)


def test_the_engine_can_be_stopped_before_it_starts(project: Project) -> None:
    record = project.run(MAPPING, on_engine=lambda engine: engine.stop())
    assert record.status == "interrupted"
    assert record.steps["a"].status.value == "cancelled"
