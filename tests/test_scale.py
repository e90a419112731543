"""Large specs: what checking and planning cost grows with the number of steps and references, and depth is no limit."""

from __future__ import annotations

import cProfile
import pstats
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from e2i import api

HEAD = "version: 1\nname: large\n"


def read(*steps: str) -> str:
    return ", ".join(f'"${{{{ steps.{step}.value }}}}"' for step in steps)


def echo(name: str, value: object, **keys: str) -> str:
    others = "".join(f", {key}: {text}" for key, text in keys.items())
    return f"  {name}: {{uses: debug.echo, with: {{value: {value}}}{others}}}\n"


def chain(count: int) -> str:
    return f"{HEAD}steps:\n{echo('s0', 0)}" + "".join(echo(f"s{i}", read(f"s{i - 1}")) for i in range(1, count))


def chain_upside_down(count: int) -> str:
    return f"{HEAD}steps:\n" + "".join(echo(f"s{i}", read(f"s{i + 1}")) for i in range(count)) + echo(f"s{count}", 0)


def fan_in(count: int) -> str:
    steps = [f"s{i}" for i in range(count)]
    return f"{HEAD}steps:\n" + "".join(echo(step, 0) for step in steps) + echo("all", f"[{read(*steps)}]")


def fan_out(count: int) -> str:
    return f"{HEAD}steps:\n{echo('a', 0)}" + "".join(echo(f"s{i}", read("a")) for i in range(count))


def conditions(count: int) -> str:
    when = '"${{ params.on }}"'
    steps = "".join(echo(f"s{i}", read(f"s{i - 1}"), when=when) for i in range(1, count))
    return f"{HEAD}params: {{on: {{type: boolean, default: true}}}}\nsteps:\n{echo('s0', 0)}{steps}"


def formulas(count: int) -> str:
    head = f"{HEAD}params: {{x: {{type: integer, default: 1}}}}\nsteps:\n"
    return head + "".join(echo(f"s{i}", f'"${{{{ params.x + {i} }}}}"') for i in range(count))


def matrices(count: int) -> str:
    combinations = f"{{i: [{', '.join(map(str, range(count // 4)))}]}}"
    steps = "".join(echo(f"s{i}", read(f"s{i - 1}"), matrix=combinations) for i in range(1, 4))
    return f"{HEAD}steps:\n{echo('s0', 0, matrix=combinations)}{steps}" + echo("all", '"${{ steps.s3 }}"')


def many_params(count: int) -> str:
    declared = "".join(f"  p{i}: {{type: integer, default: {i}}}\n" for i in range(count))
    steps = "".join(echo(f"s{i}", f'"${{{{ params.p{i} }}}}"') for i in range(count))
    return f"{HEAD}params:\n{declared}steps:\n{steps}"


def at_the_end(count: int) -> str:
    steps = "".join(echo(f"s{i}", '"${{ steps.a.value | default(0) }}"') for i in range(count))
    return f"{HEAD}steps:\n{echo('a', 0)}finally:\n{steps}"


def unknown_names(count: int) -> str:
    return f"{HEAD}steps:\n" + "".join(echo(f"step_{i}", read(f"stepp_{i}")) for i in range(count))


SHAPES = [
    chain, chain_upside_down, fan_in, fan_out, conditions, formulas, matrices, many_params, at_the_end, unknown_names
]  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> api.Workspace:
    return api.Workspace.open(root=tmp_path, environ={})


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_the_work_grows_with_the_spec(shape: Callable[[int], str], workspace: api.Workspace) -> None:
    work(shape(8), workspace)  # what is done once, whatever the spec
    small, large = work(shape(150), workspace), work(shape(600), workspace)
    assert large < 4.6 * small, large / small


def work(text: str, workspace: api.Workspace) -> int:
    """Function calls, so that a busy machine changes nothing."""
    with cProfile.Profile() as profile:
        if api.validate(text, workspace=workspace).valid:
            assert api.plan(text, workspace=workspace).digest
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


@pytest.mark.parametrize("shape", [chain, chain_upside_down], ids=lambda shape: shape.__name__)
def test_a_chain_may_be_longer_than_python_can_recurse(shape: Callable[[int], str], workspace: api.Workspace) -> None:
    length = 3 * sys.getrecursionlimit()
    planned = api.plan(shape(length), workspace=workspace)
    assert len(planned.steps) in (length, length + 1)
    assert planned.digest
