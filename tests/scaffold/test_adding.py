"""Steps that `e2i add` writes: wired, valid or with what is left, and the rest of the file as it was."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from e2i import api
from e2i.cli.main import e2i
from e2i.errors import BadInput
from e2i.scaffold import adding
from e2i.spec import document as documents
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


JUDGED = """version: 1
name: judged
steps:
  data: {uses: dataset.hcp}
  split:
    uses: data.split
    with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}
  train:
    uses: model.train
    with: {table: "${{ steps.split.train }}", target: target, features: [brand, call_frequency]}
  curve:
    uses: model.validation_curve
    with:
      table: ${{ steps.split.train }}
      held_out: ${{ steps.split.validation }}
      target: target
      features: [brand, call_frequency]
      parameter: max_depth
      values: [2, 4]
  explain:
    uses: shap.explain
    with: {model: "${{ steps.train.model }}", table: "${{ steps.split.test }}"}
  predict:
    uses: model.predict
    with: {model: "${{ steps.train.model }}", table: "${{ steps.split.test }}"}
  score:
    uses: sql.query
    with: {tables: {p: "${{ steps.predict.table }}"}, query: "SELECT avg(prediction) AS p FROM p"}
"""


@pytest.mark.parametrize(
    ("uses", "lines"),
    [
        ("model.train", ["table: ${{ steps.split.train }}", "target: target"]),
        ("model.learning_curve", ["table: ${{ steps.split.train }}", "held_out: ${{ steps.split.validation }}"]),
        ("model.evaluate", ["model: ${{ steps.train.model }}", "table: ${{ steps.split.test }}"]),
        ("data.split", ["table: ${{ steps.split.train }}", "strategy: entity", "by: hcp_id"]),
        ("data.diff", ["before: ${{ steps.split.train }}", "after: ${{ steps.split.validation }}"]),
    ],
)
def test_tables_of_findings_are_not_wired_as_data(uses: str, lines: list[str], workspace: api.Workspace) -> None:
    """Columns of findings are not those of the values that other steps have, or are not known at all."""
    text = adding.add(JUDGED, "new", uses, workspace).text
    step = text[text.index("  new:") :]
    for line in lines:
        assert f"      {line}\n" in step + "\n", step


def test_copied_values_that_do_not_fit_are_left_to_fill_in(workspace: api.Workspace) -> None:
    folds = adding.add(JUDGED, "new", "data.folds", workspace)
    assert [field.name for field in folds.left] == ["strategy"], "a split by entity has no folds of that name"


def test_one_of_several_parameters_is_left_to_fill_in(workspace: api.Workspace) -> None:
    load = adding.add(JUDGED, "new", "data.load", workspace)
    assert [field.name for field in load.left] == ["path"] and "      path:  # string" in load.text


@pytest.mark.parametrize("name", ["x]\n  evil: {uses: debug.fail}", "at: {a}", "a # b", "- a", "when\x1b[31m"])
def test_names_of_columns_change_nothing_but_the_new_step(
    name: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of data is not trusted: its columns steer neither the terminal nor the text of the spec."""
    monkeypatch.chdir(project.root)
    days = [date(2024, 1, 1), date(2024, 1, 2)]
    parquet.write_table(pa.table({"id": ["a", "b"], "y": [1, 0], name: days}), project.root / "data.parquet")
    project.write(
        "specs/a.yaml",
        "version: 1\nname: a\nsteps:\n"
        "  load: {uses: data.load, with: {path: data.parquet}}\n"
        "  first:\n    uses: model.train\n"
        '    with: {table: "${{ steps.load.table }}", target: y, features: [id]}\n',
    )
    done = CliRunner().invoke(e2i, ["add", "more", "specs/a.yaml", "--uses", "model.train", "--json", "--dry-run"])
    document = json.loads(done.stdout)
    steps = documents.read(document["text"], "a.yaml")[0]
    assert steps is not None and list(steps.data["steps"]) == ["load", "first", "more"]
    if name.isprintable() or "\n" in name:
        assert document["valid"] and steps.data["steps"]["more"]["with"]["exclude"] == [name]
    assert "\x1b" not in CliRunner().invoke(e2i, ["add", "more", "specs/a.yaml", "--uses", "model.train"]).output


def unexplained(added: adding.Added) -> list[str]:
    """Returns the errors of a new step that are not of a parameter which is left to fill in."""
    left = {field.name for field in added.left}
    return [
        f"{problem.path}: {problem.message}"
        for problem in added.problems
        if problem.severity == "error"
        and not left & {problem.path.removeprefix("/steps/new/with/").partition("/")[0]}
        and not any(f"`{name}" in f"{problem.message} {problem.hint}" for name in left)
    ]


SAMPLE = ("data.load", "data.split", "model.train", "optuna.tune", "sql.query", "feast.statistics", "mlflow.load")


def shipped() -> list[Path]:
    folder = Path(__file__).parents[2] / "specs"
    return sorted(path for path in folder.glob("*.yaml") if not path.name.endswith(".test.yaml"))


def test_new_steps_of_shipped_specs_are_valid_or_name_what_is_left() -> None:
    of_project = api.Workspace.open(root=Path(__file__).parents[2], environ={})
    for path in shipped()[:4]:
        for uses in SAMPLE:
            assert not unexplained(adding.add(path, "new", uses, of_project)), (path.name, uses)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_the_step_of_every_action_is_valid_or_names_what_is_left_in_shipped_specs(path: Path) -> None:
    of_project = api.Workspace.open(root=Path(__file__).parents[2], environ={})
    for uses in of_project.settings.registry.names():
        assert not unexplained(adding.add(path, "new", uses, of_project)), uses


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
