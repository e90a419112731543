"""Which references to steps that may be left out are guarded, and which are not."""

from __future__ import annotations

import pytest

from e2i import api

READS = 'value: "${{ steps.a.value }}"'


def problems(steps: str) -> list[tuple[str, str]]:
    spec = f"""
version: 1
name: s
params:
  on: {{type: boolean, default: true}}
  n: {{type: integer, default: 3}}
steps:
  gate: {{uses: debug.echo, with: {{value: true}}}}
{steps}
"""
    found = api.validate(spec, workspace=api.Workspace.open(environ={})).problems
    return [(problem.code, problem.path) for problem in found]


def step(name: str, when: str, given: str = "value: 1") -> str:
    return f'  {name}: {{uses: debug.echo, when: "${{{{ {when} }}}}", with: {{{given}}}}}\n'


UNGUARDED = [("maybe-skipped", "/steps/b/with/value")]


@pytest.mark.parametrize("when", ["'${{ params.on }}'", "'${{ steps.gate.value }}'", "'${{ params.n > 2 }}'", "false"])
def test_a_plain_reference_to_a_step_with_a_condition_is_a_problem(when: str) -> None:
    assert (
        problems(f"  a: {{uses: debug.echo, when: {when}}}\n  b: {{uses: debug.echo, with: {{{READS}}}}}") == UNGUARDED
    )


def test_a_condition_that_is_true_is_none() -> None:
    assert problems(f"  a: {{uses: debug.echo, when: true}}\n  b: {{uses: debug.echo, with: {{{READS}}}}}") == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("params.on", "params.on"),
        ("params.n > 2", "params.n > 2 and params.on"),
        ("params.on and params.n > 2", "(params.n > 2) and params['on']"),
        ("params.n>2", "params.n  >  2"),
        ("params.on", "steps.a.value is defined"),
        ("params.on", "steps.a.value == 3"),
        ("params.on", "steps.a.value | default(false)"),
        ("params.on", "params.n > 2 and steps.a is defined"),
    ],
)
def test_a_condition_that_demands_as_much_guards(first: str, second: str) -> None:
    steps = step("a", first) + step("b", second, READS)
    assert problems(steps) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("params.on and params.n > 2", "params.on"),
        ("params.on", "params.on or params.n > 2"),
        ("params.on", "not params.on"),
        ("params.n > 2", "params.n > 3"),
        ("params.on", "steps.a.value | default(true)"),
        ("params.on", "steps.gate.value is defined"),
    ],
)
def test_a_condition_that_demands_less_does_not(first: str, second: str) -> None:
    steps = step("a", first) + step("b", second, READS)
    assert problems(steps) == UNGUARDED


@pytest.mark.parametrize("text", ["steps.a.value | default(0)", "steps.a.value is defined", "steps.a is defined"])
def test_who_asks_whether_it_is_there_may_read(text: str) -> None:
    steps = step("a", "params.on") + f'  b: {{uses: debug.echo, with: {{value: "${{{{ {text} }}}}"}}}}'
    assert problems(steps) == []


def test_a_chain_of_steps_with_one_condition_is_guarded() -> None:
    when = 'when: "${{ params.on }}"'
    steps = (
        f"  a: {{uses: debug.echo, {when}}}\n  b: {{uses: debug.echo, {when}, with: {{{READS}}}}}\n"
        f'  c: {{uses: debug.echo, {when}, with: {{value: "${{{{ steps.b.value }}}}"}}}}'
    )
    assert problems(steps) == []


def test_needs_alone_reads_nothing() -> None:
    assert problems('  a: {uses: debug.echo, when: "${{ params.on }}"}\n  b: {uses: debug.echo, needs: [a]}') == []


def test_the_same_words_mean_another_thing_in_another_cell() -> None:
    steps = """
  a: {uses: debug.echo, matrix: {x: [1, 2]}, when: "${{ matrix.x > 1 }}"}
  b: {uses: debug.echo, matrix: {x: [1, 2, 3]}, when: "${{ matrix.x > 1 }}", with: {value: "${{ steps.a }}"}}
"""
    assert ("maybe-skipped", "/steps/b/with/value") in problems(steps)


def test_finally_reads_only_what_it_can_do_without() -> None:
    steps = """  a: {uses: debug.echo}
finally:
  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}
  c: {uses: debug.echo, with: {value: "${{ steps.a.value | default(0) }} ${{ run.status }}"}}
  d: {uses: debug.echo, when: "${{ steps.a.value == 1 }}", with: {value: "${{ steps.c.value }}"}}
"""
    assert problems(steps) == [("maybe-skipped", "/finally/b/with/value"), ("maybe-skipped", "/finally/d/when")]
