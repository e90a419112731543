"""A secret goes only to parameters that are marked for one: of every other place it is said so before a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2i import api, policy
from e2i.catalog import marks
from e2i.catalog.registry import BUILT_IN
from e2i.policy import Origin, Policy
from e2i.settings import Settings

TOKEN = "${{ secrets.TOKEN }}"
PART = """
version: 1
name: part
params: {token: {type: string}}
steps:
  other: {uses: debug.echo, with: {value: 1}}
  use: {uses: %s}
"""
CALL = "python.call, with: {file: use.py, function: use, arguments: {token: %s}}"


def workspace(root: Path, origin: Origin = Origin.HUMAN, **rules: Any) -> api.Workspace:
    data = policy.default().model_dump()
    data[origin.value] |= rules
    settings = Settings(sinks=(), secrets={"TOKEN": "MY_TOKEN", "OTHER": "MY_OTHER"})
    (root / "use.py").write_text("")
    return api.Workspace(root, root / ".e2i", settings, Policy.model_validate(data), origin)


def found(spec: dict[str, Any], opened: api.Workspace) -> list[tuple[str, str]]:
    problems = api.validate(spec, workspace=opened).problems
    return [(item.code, item.path) for item in problems if item.code in ("secret-not-allowed", "policy-secret")]


def pipeline(step: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"version": 1, "name": "x", "steps": {"a": step}, **more}


def parameters() -> Iterator[tuple[str, str]]:
    for uses in BUILT_IN.names():
        declared = BUILT_IN.action(uses)
        assert declared is not None
        yield from ((uses, name) for name in declared.params.model_fields)


def test_the_arguments_of_python_call_are_all_that_is_marked() -> None:
    marked = [
        (uses, path)
        for uses in BUILT_IN.names()
        for path, mark in marks.of(BUILT_IN.action(uses).params)  # type: ignore[index]  # it is named
        if isinstance(mark, marks.MayBeSecret)
    ]
    assert marked == [("python.call", ("arguments",))]


@pytest.mark.parametrize("origin", list(Origin))
@pytest.mark.parametrize(
    "shape", [lambda x: x, lambda x: [x], lambda x: [{"value": x, "op": "le"}], lambda x: {"k": x}]
)
def test_no_other_parameter_of_any_action_takes_one_at_any_depth(shape: Any, origin: Origin, tmp_path: Path) -> None:
    opened = workspace(tmp_path, origin)
    for uses, name in parameters():
        spec = pipeline({"uses": uses, "with": {name: shape(TOKEN)}})
        codes = {code for code, _ in found(spec, opened)}
        allowed = (uses, name) == ("python.call", "arguments")
        refusal = {"policy-secret"} if origin is Origin.AGENT else set()
        assert codes == (refusal if allowed else {"secret-not-allowed"}), (uses, name)


def test_the_policy_says_which_secrets_specs_may_hand_on(tmp_path: Path) -> None:
    spec = pipeline({"uses": "python.call", "with": {"file": "use.py", "function": "use", "arguments": {
        "deep": [{"token": TOKEN}], "other": "${{ secrets.OTHER }}"}}})  # fmt: skip
    refused = ("policy-secret", "/steps/a/with/arguments/deep/0/token")
    assert found(spec, workspace(tmp_path)) == []
    assert found(spec, workspace(tmp_path, secrets=("OTH*",))) == [refused]
    assert refused in found(spec, workspace(tmp_path, Origin.AGENT))
    assert found(spec, workspace(tmp_path, Origin.AGENT, run_python=True, secrets=("*",))) == []


@pytest.mark.parametrize(
    "outputs",
    [{"t": TOKEN}, {"t": [{"deep": TOKEN}]}, {"t": {"a": 1, "b": [TOKEN]}}],
)
def test_no_output_is_a_secret(outputs: dict[str, Any], tmp_path: Path) -> None:
    ((code, path),) = found(pipeline({"uses": "debug.echo"}, outputs=outputs), workspace(tmp_path))
    assert code == "secret-not-allowed" and path.startswith("/outputs/t")


@pytest.mark.parametrize("matrix", [{"t": [TOKEN]}, {"t": [{"deep": TOKEN}]}, {"t": [1], "include": [{"t": TOKEN}]}])
def test_no_matrix_holds_a_secret(matrix: dict[str, Any], tmp_path: Path) -> None:
    spec = pipeline({"uses": "debug.echo", "matrix": matrix})
    (problem,) = api.validate(spec, workspace=workspace(tmp_path)).problems
    assert problem.code == "bad-matrix" and "secret" in problem.message


EXPRESSIONS = [
    "params.token", "[params.token]", "{'k': params.token}", "params", "params.token | default('x')",
    "params.token if steps.other.value else 1", "steps.other.value or params.token",
    "steps.other.value | default(params.token)", "[steps.other.value, params.token]",
]  # fmt: skip


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_secret_is_followed_into_included_specs(expression: str, tmp_path: Path) -> None:
    opened = workspace(tmp_path)
    text = f'"${{{{ {expression} }}}}"'
    spec = pipeline({"uses": "./part.yaml", "with": {"token": TOKEN}})
    (tmp_path / "part.yaml").write_text(PART % f"debug.echo, with: {{value: {text}}}")
    assert {code for code, _ in found(spec, opened)} == {"secret-not-allowed"}
    (tmp_path / "part.yaml").write_text(PART % (CALL % text))
    assert found(spec, opened) == []
    assert {code for code, _ in found(spec, workspace(tmp_path, secrets=()))} == {"policy-secret"}


@pytest.mark.parametrize(
    "expression",
    ["params.token == 'a'", "params.token < 'a'", "'a' in params.token", "params.token in ['a']", "params.token ~ 'a'",
     "params.token | length", "params.token | upper", "params.token[0]", "[params.token] == ['a']"],
)  # fmt: skip
def test_nothing_is_computed_from_a_secret(expression: str, tmp_path: Path) -> None:
    opened = workspace(tmp_path)
    (tmp_path / "part.yaml").write_text(PART % (CALL % f'"${{{{ {expression} }}}}"'))
    spec = pipeline({"uses": "./part.yaml", "with": {"token": TOKEN}})
    assert "bad-expression" in {problem.code for problem in api.validate(spec, workspace=opened).problems}


def test_a_secret_does_not_leave_an_included_spec(tmp_path: Path) -> None:
    opened = workspace(tmp_path)
    (tmp_path / "part.yaml").write_text(PART % "debug.echo" + "outputs: {t: '${{ params.token }}'}\n")
    spec = pipeline({"uses": "./part.yaml", "with": {"token": TOKEN}})
    assert found(spec, opened) == [("secret-not-allowed", "/outputs/t")]
