"""What ``validate`` finds: all of it, once, in order, each with a place, a path and a fix only where it is certain."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from e2i import api
from e2i.spec.operations import Move, Replace
from e2i.spec.problems import Problem
from project import Project

HEAD = "version: 1\nname: n\nparams: {n: {type: integer, default: 1}}\n"


def problems(project: Project, text: str) -> list[Problem]:
    return list(api.validate(text, workspace=project.workspace).problems)


def fixed(document: Any, problem: Problem) -> Any:
    """The document with the problem's fixes (RFC 6902) applied."""
    document = copy.deepcopy(document)
    for operation in problem.fixes:
        *above, last = operation.path.split("/")[1:]
        parent = document
        for key in above:
            parent = parent[int(key) if isinstance(parent, list) else key]
        if isinstance(operation, Move):
            source = operation.source.split("/")[-1]
            parent[last] = parent.pop(source)
        else:
            assert isinstance(operation, Replace)
            parent[int(last) if isinstance(parent, list) else last] = operation.value
    return document


@pytest.mark.parametrize(
    "steps",
    [
        "{a: {uses: debug.ecko}}",
        "{a: {uses: debug.echo, wiht: {value: 1}}}",
        "{a: {uses: debug.echo, with: {valeu: 1}}}",
        "{load: {uses: debug.echo}, b: {uses: debug.echo, needs: [laod]}}",
        "{load: {uses: debug.echo}, b: {uses: debug.echo, with: {value: '${{ steps.laod.value }}'}}}",
        "{load: {uses: debug.echo}, b: {uses: debug.echo, with: {value: '${{ steps.load.valeu }}'}}}",
        "{load: {uses: debug.echo}, b: {uses: debug.echo, with: {value: [{x: 'is ${{ steps.load.vaule }}'}]}}}",
    ],
)
def test_one_typing_error_is_one_problem_whose_fix_mends_it(project: Project, steps: str) -> None:
    text = f"{HEAD}steps: {steps}\n"
    (problem,) = problems(project, text)
    assert problem.hint is not None and problem.hint.startswith("did you mean")
    assert problem.fixes
    assert problems(project, yaml.safe_dump(fixed(yaml.safe_load(text), problem))) == []


@pytest.mark.parametrize(
    "steps",
    [
        "{fold1: {uses: debug.echo}, fold2: {uses: debug.echo}, b: {uses: debug.echo, needs: [fold3]}}",
        "{a: {uses: debug.echo}, b: {uses: debug.echo, needs: [c]}}",
        "{a: {uses: debug.echo, with: {value: 1, valeu: 2}}}",
    ],
)
def test_what_is_not_certain_has_no_fix(project: Project, steps: str) -> None:
    (problem,) = problems(project, f"{HEAD}steps: {steps}\n")
    assert problem.fixes == ()


def test_problems_come_in_the_order_of_the_file_and_each_once(project: Project) -> None:
    found = problems(
        project,
        HEAD
        + """
steps:
  a:
    uses: debug.echo
    matrix: {x: [1, 2, 3]}
    with: {valeu: "${{ params.m }}", value: "${{ matrix.y }}"}
  b: {uses: debug.ecko, needs: [z9]}
outputs: {o: "${{ steps.q9.value }}"}
""",
    )
    locations = [(problem.location.line, problem.location.column) for problem in found]
    assert locations == sorted(locations)
    assert len({(problem.code, problem.path) for problem in found}) == len(found)
    assert [problem.code for problem in found] == [
        "unknown-action-parameter", "unknown-parameter", "unknown-matrix-name", "unknown-action", "unknown-step",
        "unknown-step",
    ]  # fmt: skip


def test_one_expression_that_fails_hides_no_other_problem(project: Project) -> None:
    found = problems(
        project,
        HEAD + "steps: {a: {uses: debug.sleep, with: {seconds: '${{ 1 / 0 }}', value: '${{ 1 % 0 }}', extra: 1}}}\n",
    )
    assert [problem.path for problem in found] == [
        "/steps/a/with/seconds",
        "/steps/a/with/value",
        "/steps/a/with/extra",
    ]


def test_a_default_under_a_missing_value_is_no_problem(project: Project) -> None:
    steps = "steps: {a: {uses: debug.echo, with: {value: '${{ env.NOWHERE | default(3) }}'}}}\n"
    assert [problem.code for problem in problems(project, HEAD + steps)] in ([], ["unknown-env"])


def test_env_and_secrets_are_those_that_the_operator_lists(project: Project) -> None:
    steps = "steps: {a: {uses: python.call, with: {file: a.py, function: f, arguments: {a: '${{ env.REGION }}', b: '${{ secrets.TOKEN }}'}}}}\n"
    project.write("a.py", "def f(a, b): ...")
    assert [problem.code for problem in problems(project, HEAD + steps)] == ["unknown-env", "unknown-secret"]
    project.write("config/default.yaml", "sinks: []\nenv: {REGION: eu}\nsecrets: {TOKEN: MY_TOKEN}\n")
    assert problems(project, HEAD + steps) == []


def test_a_cycle_is_named_whole_and_always_alike(project: Project) -> None:
    steps = [
        "c: {uses: debug.echo, needs: [b]}",
        "a: {uses: debug.echo, needs: [c]}",
        "b: {uses: debug.echo, needs: [a]}",
    ]
    for first in range(3):
        order = ", ".join(steps[first:] + steps[:first])
        (problem,) = problems(project, f"{HEAD}steps: {{{order}}}\n")
        assert (problem.code, problem.path) == ("cycle", "/steps/a")
        assert "a → b → c → a" in problem.message


def test_a_cycle_through_a_matrix_is_one_too(project: Project) -> None:
    text = (
        HEAD
        + """
steps:
  a: {uses: debug.echo, matrix: {x: [1, 2]}, with: {value: "${{ steps.b.value }}"}}
  b: {uses: debug.echo, matrix: {x: [1, 2]}, with: {value: "${{ steps.a.value }}"}}
"""
    )
    assert [problem.code for problem in problems(project, text)] == ["cycle"]


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ("3", True),
        ("'3'", False),
        ("soon", False),
        ("-1", False),
        ("[1]", False),
        ("'${{ params.n }}'", True),
        ("'${{ params.n - 2 }}'", False),
    ],
)
def test_what_is_known_of_a_parameter_is_checked_by_the_action(project: Project, value: str, valid: bool) -> None:
    found = problems(project, HEAD + f"steps: {{a: {{uses: debug.sleep, with: {{seconds: {value}}}}}}}\n")
    assert [problem.code for problem in found] == ([] if valid else ["bad-action-parameter"])
    assert [problem.path for problem in found] == ([] if valid else ["/steps/a/with/seconds"])


def test_a_thousand_steps_are_checked_in_a_moment(project: Project) -> None:
    steps = "".join(
        f"  s{i}: {{uses: debug.echo, with: {{value: '${{{{ steps.s{i - 1}.value }}}}'}}}}\n" for i in range(1, 1_000)
    )
    assert problems(project, f"{HEAD}steps:\n  s0: {{uses: debug.echo}}\n{steps}") == []


@pytest.mark.parametrize("written", ["[{op: scale, types: [number]}]", "{op: scale, types: [number]}"])
def test_a_recipe_that_is_written_in_place_is_no_mapping_to_mend(project: Project, written: str) -> None:
    steps = (
        "  data: {uses: dataset.hcp}\n  train: {uses: model.train, with: {table: '${{ steps.data.journeys }}', "
        f"target: target, prepare: {written}}}}}\n"
    )
    (problem,) = problems(project, f"{HEAD}steps:\n{steps}")
    assert (problem.code, problem.fixes) == ("bad-action-parameter", ())
    assert problem.message.startswith('"prepare" accepts a recipe of another step')
    assert problem.hint is not None and "`uses: prepare.recipe`" in problem.hint and "steps.ID.recipe" in problem.hint
