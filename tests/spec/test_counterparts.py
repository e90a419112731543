"""Whoever comes from another workflow language is told how it is written here."""

from __future__ import annotations

import pytest

from e2i.spec import counterparts
from e2i.spec.load import expected, load
from e2i.spec.problems import Problem

HEAD = "version: 1\nname: s\n"
STEP = "steps:\n  a:\n    uses: debug.echo\n    "


def problems_of(text: str) -> list[Problem]:
    return load(text, "s.yaml")[1]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (STEP + "if: true", "when: ${{ CONDITION }}"),
        (STEP + "depends_on: [b]", "needs: [STEP]"),
        (STEP + "continue-on-error: true", "on_error: continue"),
        (STEP + "retries: 3", "retry: {attempts: 3}"),
        (STEP + "parameters: {x: 1}", "with: {NAME: VALUE}"),
        (STEP + "strategy: {}", "matrix: {NAME: [VALUE]}"),
        (STEP + "timeout-minutes: 3", "timeout: 10m"),
        ("parameters: {x: 1}\nsteps: {a: {uses: debug.echo}}", "params: {NAME: {type: string}}"),
        ("jobs: {a: {uses: debug.echo}}\nsteps: {a: {uses: debug.echo}}", "steps: {ID: {uses: TOOL.ACTION}}"),
    ],
)
def test_a_key_of_another_language_is_named_as_it_is_here(text: str, written: str) -> None:
    (problem,) = problems_of(HEAD + text + "\n")
    assert (problem.code, problem.hint) == ("unknown-key", f"write `{written}`")


def test_a_key_that_nothing_stands_for_lists_the_keys() -> None:
    (problem,) = problems_of(HEAD + STEP + "colour: red\n")
    assert (problem.hint or "").startswith("choose from: agent, cache, ")


def test_nothing_is_hinted_where_the_counterpart_is_no_key() -> None:
    assert counterparts.hint("if", ["steps", "params"]) is None


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (STEP + "needs: b", "write [b]"),
        ("params: {seed: 7}\nsteps: {a: {uses: debug.echo}}", "write {type: integer, default: 7}"),
        ("params: {on: true}\nsteps: {a: {uses: debug.echo}}", "write {type: boolean, default: true}"),
        ("params: {x: some text}\nsteps: {a: {uses: debug.echo}}", 'write {type: string, default: "some text"}'),
    ],
)
def test_a_short_form_is_written_out(text: str, hint: str) -> None:
    (problem,) = problems_of(HEAD + text + "\n")
    assert problem.hint == hint


@pytest.mark.parametrize("text", ["{{ params.n }}", "${ params.n }", "${{params.n}", "{ params.n }}"])
@pytest.mark.parametrize("kind", ["model_type", "float_parsing", "bool_type", "list_type"])
def test_a_text_that_was_meant_as_an_expression_becomes_one_where_no_text_may_be(text: str, kind: str) -> None:
    hint, fixes = expected({"type": kind, "input": text}, ("steps", "a", "with", "x"))
    assert hint == 'an expression is written "${{ params.n }}"'
    assert [fix["value"] for fix in fixes] == ["${{ params.n }}"]
