"""Steps that `e2i add` writes: wired, valid or with what is left, and the rest of the file as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from e2i import api
from e2i.cli.main import e2i
from e2i.errors import BadInput
from e2i.scaffold import adding
from project import Project

SPEC = """version: 1
name: churn   # the name
steps:
  data:
    uses: dataset.hcp  # made up

  split:
    uses: data.split
    with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}

  # learns
  train:
    uses: model.train
    with:
      table: ${{ steps.split.train }}
      target: target
      features: [brand, specialty]
  # end of steps

outputs:
  auc: ${{ steps.train.metrics }}
"""
EVALUATE = """
  evaluate:
    uses: model.evaluate
    with:
      model: ${{ steps.train.model }}
      table: ${{ steps.split.test }}
"""
FEATURES = "      features: [brand, specialty]\n"


@pytest.fixture
def workspace(tmp_path: Path) -> api.Workspace:
    return api.Workspace.open(root=tmp_path, environ={})


def test_a_step_is_wired_to_the_newest_outputs_that_fit_and_the_rest_stays(workspace: api.Workspace) -> None:
    added = adding.add(SPEC, "evaluate", "model.evaluate", workspace)
    assert added.text == SPEC.replace(FEATURES, FEATURES + EVALUATE) and added.valid and not added.left
    again = adding.add(added.text, "evaluate_2", "model.evaluate", workspace)
    assert again.text.count("model: ${{ steps.train.model }}") == 2 and again.text.count("steps.split.test") == 2
    register = adding.add(SPEC, "register", "mlflow.register", workspace)
    assert [field.name for field in register.left] == ["name"] and not register.valid
    assert "      name:  # string: Name of the registered model" in register.text
    assert {one.path for one in register.problems} == {"/steps/register/with/name"}
    train = adding.add(SPEC, "more", "model.train", workspace)
    assert "      target: target\n" in train.text[train.text.index("  more:") :], "as in the newest step that has one"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("steps:\n  a: {uses: debug.echo, with: {value: 1}}", "\n  b:\n    uses: debug.sleep"),
        ("steps:\r\n  a: {uses: debug.echo, with: {value: 1}}\r\n", "  b:\r\n    uses: debug.sleep\r\n    with:\r\n"),
        ("steps: {a: {uses: debug.echo, with: {value: 1}}}\n", ", b: {uses: debug.sleep, with: {seconds: null}}}"),
        ("steps:\n    a:\n        uses: debug.fail\n\n\noutputs: {}\n", "    b:\n      uses: debug.sleep\n"),
        ("\ufeffsteps:\n  a: {uses: debug.fail}\n# end\n", "  b:\n    uses: debug.sleep\n"),
    ],
)
def test_every_layout_is_kept(before: str, after: str, workspace: api.Workspace) -> None:
    mark = "\ufeff" if before.startswith("\ufeff") else ""
    text = f"{mark}version: 1\nname: x\n{before.removeprefix(mark)}"
    added = adding.add(text, "b", "debug.sleep", workspace).text
    assert after in added
    pairs = enumerate(zip(text, added, strict=False))
    start = next((index for index, (old, new) in pairs if old != new), len(text))
    assert added.endswith(text[start:]), "the rest is the same, byte for byte"


@pytest.mark.parametrize(
    ("name", "uses", "message"),
    [
        ("train", "model.train", "already"),
        ("a-b", "model.train", "not the id"),
        ("t", "xgboost.train", "unknown action"),
    ],
)
def test_wrong_names_are_refused(name: str, uses: str, message: str, workspace: api.Workspace) -> None:
    with pytest.raises(BadInput, match=message):
        adding.add(SPEC, name, uses, workspace)


def test_the_command_writes_or_shows_the_change(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    path = project.write("specs/churn.yaml", SPEC)
    shown = CliRunner().invoke(e2i, ["add", "model.evaluate", "--dry-run"])
    assert shown.exit_code == 0 and "+    uses: model.evaluate" in shown.stdout and path.read_text() == SPEC
    done = CliRunner().invoke(e2i, ["add", "evaluate", "specs/churn.yaml", "--uses", "model.evaluate", "--json"])
    document = json.loads(done.stdout)
    assert path.read_text() == document["text"] == SPEC.replace(FEATURES, FEATURES + EVALUATE)
    assert document["valid"] and document["written"] and document["left"] == []
    left = CliRunner().invoke(e2i, ["add", "mlflow.register"])
    assert "left to fill in\n  name  string: Name of the registered model" in left.stderr
    project.write("specs/other.yaml", SPEC)
    several = CliRunner().invoke(e2i, ["add", "mlflow.register"])
    assert several.exit_code == 2 and "specs/churn.yaml, specs/other.yaml" in several.stderr


@pytest.mark.slow
def test_the_step_of_every_action_is_valid_or_says_what_is_left(workspace: api.Workspace) -> None:
    unsaid = []
    for uses in workspace.settings.registry.names():
        added = adding.add(SPEC, "new", uses, workspace)
        assert added.text.startswith(SPEC[: SPEC.index(FEATURES)]) and added.text.endswith(
            SPEC[SPEC.index("  # end") :]
        )
        errors = [one for one in added.problems if one.severity == "error"]
        if not added.valid and not added.left and not errors:
            unsaid.append(uses)
        assert all(one.path.startswith("/steps/new") for one in errors), (uses, errors)
    assert not unsaid
