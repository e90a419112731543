"""Problems of columns and of types: each at its place, and mended by its fix where that is certain."""

from __future__ import annotations

import pytest

from e2i import api
from e2i.check.fixing import fix_text
from project import Project

HEAD = """\
version: 1
name: n
params: {column: {type: string, default: targte}, wanted: {type: list, default: [region, target]}}
steps:
  data: {uses: dataset.hcp}
  narrow:
    uses: data.select
    with: {table: "${{ steps.data.journeys }}", columns: [hcp_id, region, call_frequency, target]}
"""
FEATURES = """\
  features:
    uses: feast.apply
    with:
      project: p
      entities: {hcp: {join_key: hcp_id}}
      views: {history: {table: "${{ steps.data.history }}", entity: hcp, timestamp: event_timestamp, created: created}}
"""


def found(project: Project, text: str) -> list[tuple[str, str, bool]]:
    """Code, path and whether there is a fix, of every problem."""
    problems = api.validate(text, workspace=project.workspace).errors
    return [(problem.code, problem.path, bool(problem.fixes)) for problem in problems]


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (
            'a: {uses: data.select, with: {table: "${{ steps.narrow.table }}", columns: [regoin]}}',
            ("unknown-column", "/steps/a/with/columns/0"),
        ),
        (
            'a: {uses: data.split, with: {table: "${{ steps.narrow.table }}", strategy: entity, by: hcpid}}',
            ("unknown-column", "/steps/a/with/by"),
        ),
        (
            'a: {uses: model.train, with: {table: "${{ steps.narrow.table }}", target: traget, exclude: [hcp_id]}}',
            ("unknown-column", "/steps/a/with/target"),
        ),
        (
            'a: {uses: model.train, with: {table: "${{ steps.narrow.table }}", target: target,'
            " features: [region, target]}}",
            ("target-leak", "/steps/a/with/features/1"),
        ),
        (
            'a: {uses: model.train, with: {table: "${{ steps.data.journeys }}", target: outcome,'
            " exclude: [hcp_id, target]}}",
            ("bad-feature", "/steps/a/with/table"),
        ),
        (
            'a: {uses: model.train, with: {table: "${{ steps.data.truth }}", target: tau}}',
            ("bad-feature", "/steps/a/with/table"),
        ),
        (
            "a: {uses: data.load, with: {path: t.csv, types: {idd: string}}}",
            ("unknown-column", "/steps/a/with/types/idd"),
        ),
        ("a: {uses: data.load, with: {path: tt.csv}}", ("no-such-file", "/steps/a/with/path")),
        (
            'a: {uses: great_expectations.validate, with: {table: "${{ steps.narrow.table }}", suite: journey}}',
            ("no-such-suite", "/steps/a/with/suite"),
        ),
        (
            'a: {uses: feast.materialize, with: {repo: "${{ steps.features.repo }}", views: [histroy]}}',
            ("unknown-view", "/steps/a/with/views/0"),
        ),
        (
            'a: {uses: feast.historical_features, with: {repo: "${{ steps.features.repo }}",'
            ' timestamp: observation_date, table: "${{ steps.data.journeys }}", features: ["history:ages"]}}',
            ("unknown-feature", "/steps/a/with/features/0"),
        ),
        (
            'a: {uses: debug.echo, with: {value: "${{ steps.narrow[0].outputs.table }}"}}',
            ("one-as-list", "/steps/a/with/value"),
        ),
        (
            'a: {uses: debug.echo, with: {value: "${{ steps.data.journeys.digset }}"}}',
            ("unknown-output", "/steps/a/with/value"),
        ),
    ],
)
def test_a_certain_mend_makes_the_spec_valid(project: Project, step: str, problem: tuple[str, str]) -> None:
    project.write("t.csv", "id,y\n1,2\n")
    project.write(
        "config/expectations/journeys.yaml",
        "name: journeys\nexpectations: [{type: expect_column_to_exist, column: hcp_id}]\n",
    )
    text = f"{HEAD}{FEATURES}  {step}\n"
    assert found(project, text) == [(*problem, True)]
    fixed = fix_text(text, "<text>", lambda changed: api.validate(changed, workspace=project.workspace).problems)
    assert fixed.valid, fixed.text
    assert fixed.text.startswith(HEAD + FEATURES)


def test_what_a_parameter_gives_has_a_problem_but_no_fix(project: Project) -> None:
    train = '  a: {uses: model.train, with: {table: "${{ steps.narrow.table }}", '
    by_name = HEAD + train + 'target: "${{ params.column }}", exclude: [hcp_id]}}\n'
    assert found(project, by_name) == [("unknown-column", "/steps/a/with/target", False)]
    by_list = HEAD + train + 'target: target, features: "${{ params.wanted }}"}}\n'
    assert found(project, by_list) == [("target-leak", "/steps/a/with/features", False)]


def test_a_parameter_without_a_value_is_no_fault_before_it_has_one(project: Project) -> None:
    text = HEAD.replace("{type: string, default: targte}", "{type: string}")
    text += '  a: {uses: model.train, with: {table: "${{ steps.narrow.table }}", target: "${{ params.column }}"}}\n'
    assert found(project, text) == []
    (problem,) = api.validate(text, {"column": "tarket"}, workspace=project.workspace).problems
    assert (problem.code, problem.hint) == ("unknown-column", 'did you mean "target"?')


def test_nothing_is_said_of_columns_that_cannot_be_known(project: Project) -> None:
    text = """\
version: 1
name: n
steps:
  call: {uses: python.call, with: {file: steps.py, function: f}}
  load: {uses: mlflow.load, with: {name: m, stage: production}}
  a: {uses: data.select, with: {table: "${{ steps.call.table }}", columns: [anything]}}
  b: {uses: model.evaluate, with: {model: "${{ steps.load.model }}", table: "${{ steps.a.table }}"}}
  c: {uses: model.train, with: {table: "${{ steps.a.table }}", target: anything}}
"""
    project.write("steps.py", "def f(): ...")
    assert found(project, text) == []


def test_columns_are_followed_through_the_cells_of_a_matrix(project: Project) -> None:
    text = (
        HEAD
        + """\
  train:
    uses: model.train
    matrix: {algorithm: [XGBoost, LightGBM]}
    with: {table: "${{ steps.narrow.table }}", target: target, exclude: [hcp_id], algorithm: "${{ matrix.algorithm }}"}
  explain:
    uses: shap.explain
    matrix: {algorithm: [XGBoost, LightGBM]}
    with: {model: "${{ steps.train.model }}", table: "${{ steps.data.history }}"}
  choose: {uses: model.select, with: {candidates: "${{ steps.train }}"}}
  judge: {uses: model.evaluate, with: {model: "${{ steps.choose.model }}", table: "${{ steps.data.truth }}"}}
  first: {uses: model.predict, with: {model: "${{ steps.train[0].outputs.model }}", table: "${{ steps.data.truth }}"}}
"""
    )
    assert [(code, path) for code, path, _ in found(project, text)] == [
        ("unknown-column", "/steps/explain/with/table"),
        ("unknown-column", "/steps/judge/with/table"),
        ("unknown-column", "/steps/judge/with/table"),
        ("unknown-column", "/steps/first/with/table"),
    ]


def test_columns_are_followed_through_parts(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    project.write(
        "part.yaml",
        """\
version: 1
name: part
params: {table: {type: mapping}}
steps:
  fewer: {uses: data.select, with: {table: "${{ params.table }}", exclude: [region]}}
outputs: {table: "${{ steps.fewer.table }}"}
""",
    )
    text = (
        HEAD
        + """\
  part: {uses: ./part.yaml, with: {table: "${{ steps.narrow.table }}"}}
  a: {uses: data.select, with: {table: "${{ steps.part.table }}", columns: [hcp_id, region]}}
"""
    )
    project.write("spec.yaml", text)
    (problem,) = api.validate("spec.yaml", workspace=project.workspace).problems
    assert (problem.code, problem.path) == ("unknown-column", "/steps/a/with/columns/1")


def test_a_choice_between_tables_is_known_only_where_both_agree(project: Project) -> None:
    choice = '"${{ steps.narrow.table if steps.narrow.dropped > 0 else steps.OTHER }}"'
    text = HEAD + "  a: {uses: data.select, with: {table: " + choice + ", columns: [age]}}\n"
    assert found(project, text.replace("OTHER", "data.history")) == []
    assert found(project, text.replace("OTHER", "narrow.table")) == [
        ("unknown-column", "/steps/a/with/columns/0", False)
    ]


@pytest.mark.parametrize("other", ["a", "b"])
def test_parts_that_wait_for_each_other_are_a_cycle(
    project: Project, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    monkeypatch.chdir(project.root)
    instance = "version: 1\nname: part\nparams: {x: {type: string}}\n"
    instance += "steps: {e: {uses: debug.echo, with: {value: '${{ params.x }}'}}}\noutputs: {y: '${{ params.x }}'}\n"
    project.write("part.yaml", instance)
    use = "  %s: {uses: ./part.yaml, with: {x: '${{ steps.%s.y }}'}}\n"
    steps = use % ("a", other) + (use % ("b", "a") if other == "b" else "")
    project.write("spec.yaml", "version: 1\nname: n\nsteps:\n" + steps)
    assert "cycle" in [problem.code for problem in api.validate("spec.yaml", workspace=project.workspace).problems]
