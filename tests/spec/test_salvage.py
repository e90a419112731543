"""One mistake of shape hides no other, and what follows from it is not reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2i import api

GOOD = """version: 1
name: n
params: {n: {type: integer, default: 1}}
steps:
  a: {uses: debug.echo, with: {value: "${{ params.n }}"}}
  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}, needs: [a]}
  c: {uses: debug.sleep, with: {seconds: -1}}
outputs: {x: "${{ steps.b.value }}"}
"""
ALSO = ("bad-action-parameter", "/steps/c/with/seconds")
"""The mistake of the spec above. It is reported beside every other one."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> api.Workspace:
    return api.Workspace.open(root=Path(tmp_path_factory.mktemp("work")), environ={})


@pytest.mark.parametrize(
    ("right", "wrong", "code", "path"),
    [
        ("version: 1", "version: 2", "bad-value", "/version"),
        ("name: n", "name: 3", "bad-value", "/name"),
        ("name: n\n", "", "missing-key", ""),
        ("name: n\n", "name: n\ntriggers: daily\n", "unknown-key", "/triggers"),
        ("uses: debug.echo, with: {value: \"${{ params.n }}\"}", "with: {value: 1}", "missing-key", "/steps/a"),
        ("a: {uses: debug.echo, with: {value: \"${{ params.n }}\"}}", "a: [debug.echo]", "bad-value", "/steps/a"),
        ("with: {value: \"${{ params.n }}\"}", "with: [1]", "bad-value", "/steps/a/with"),
        ("with: {value: \"${{ params.n }}\"}", "value: 1", "unknown-key", "/steps/a/value"),
        ("with: {value: \"${{ params.n }}\"}", "timeout: soon", "bad-value", "/steps/a/timeout"),
        ("with: {value: \"${{ params.n }}\"}", "matrix: 3", "bad-value", "/steps/a/matrix"),
        ("with: {value: \"${{ params.n }}\"}", "foreach: {n: [1]}", "unknown-key", "/steps/a/foreach"),
        ("with: {value: \"${{ params.n }}\"}", "labels: x", "unknown-key", "/steps/a/labels"),
        ("type: integer", "type: intger", "bad-value", "/params/n/type"),
        ("type: integer", "type: integer, unit: kg", "unknown-key", "/params/n/unit"),
        ("{x: \"", "{1x: \"", "bad-name", "/outputs/1x"),
        ("${{ params.n }}", "${{ params.n ** }}", "bad-expression", "/steps/a/with/value"),
        ("with: {value: \"${{ params.n }}\"}", "when: \"${{ 1 + }}\"", "bad-expression", "/steps/a/when"),
        ("with: {value: \"${{ params.n }}\"}", "matrix: {n: \"${{ 1 + }}\"}", "bad-expression", "/steps/a/matrix/n"),
        ("${{ steps.b.value }}", "${{ steps.b. }}", "bad-expression", "/outputs/x"),
        ("uses: debug.echo, with: {value: \"${{ params.n }}\"}", "uses: ./nowhere.yaml", "no-such-include", "/steps/a/uses"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_alone_beside_an_independent_one(
    right: str, wrong: str, code: str, path: str, workspace: api.Workspace
) -> None:
    assert right in GOOD
    found = api.validate(GOOD.replace(right, wrong, 1), workspace=workspace)
    others = [(one.code, one.path) for one in found.problems if (one.code, one.path) != ALSO]
    assert ALSO in [(one.code, one.path) for one in found.problems]
    assert (code, path) in others and {one[0] for one in others} == {code}, [str(one) for one in found.problems]


def test_the_safe_fix_of_a_name_renames_it_wherever_it_is_used(workspace: api.Workspace) -> None:
    text = GOOD.replace("steps.a.", "steps.a-1.").replace("  a:", "  a-1:").replace("needs: [a]", "needs: [a-1]")
    before = api.validate(text, workspace=workspace).problems
    assert [(one.code, one.path) for one in before] == [("bad-name", "/steps/a-1"), ALSO]
    fixed = api.fix(text, workspace=workspace)
    assert [one.code for one in fixed.applied] == ["bad-name"]
    assert fixed.text == text.replace("a-1", "a_1")


def test_a_reference_to_a_parameter_of_a_wrong_name_is_no_problem_of_its_own(workspace: api.Workspace) -> None:
    text = GOOD.replace("params.n", "params.n-1").replace("{n: {", "{n-1: {")
    found = api.validate(text, workspace=workspace).problems
    assert [(one.code, one.path) for one in found] == [("bad-name", "/params/n-1"), ALSO]


def test_an_included_spec_with_a_mistake_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("version: 1\nname: p\nsteps: {a: {uses: debug.echo}}\noutputs: {1x: 1, y: 2}\n")
    (tmp_path / "main.yaml").write_text(
        "version: 1\nname: n\nsteps:\n  p: {uses: ./part.yaml}\n"
        '  q: {uses: debug.echo, with: {valeu: "${{ steps.p.x }} ${{ steps.p.y }}"}}\n'
    )
    found = api.validate(tmp_path / "main.yaml", workspace=api.Workspace.open(root=tmp_path, environ={})).problems
    assert [one.code for one in found] == ["unknown-action-parameter", "bad-name"]
