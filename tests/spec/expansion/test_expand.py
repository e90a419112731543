from __future__ import annotations

from typing import Any

import pytest

from e2i.spec.expansion.expand import expand
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import Pending, is_settled, plain
from e2i.spec.load import load
from e2i.spec.problems import Problem
from e2i.spec.values import Secret

HEAD = "version: 1\nname: n\n"


def expanded(steps: str, params: dict[str, Any] | None = None) -> tuple[Expanded, list[Problem]]:
    loaded, problems = load(HEAD + "params: {p: {type: list}}\nsteps:\n" + steps, "s.yaml")
    assert loaded is not None, problems
    return expand(loaded, params or {}, {"E": "e"})


def test_a_matrix_is_every_combination_the_last_name_fastest() -> None:
    found, _ = expanded("  a: {uses: x.y, matrix: {m: [1, b], n: '${{ params.p }}'}}\n", {"p": [True, "x y"]})
    assert list(found.nodes) == ["a[1,true]", "a[1,x_y]", "a[b,true]", "a[b,x_y]"]
    assert found.nodes["a[b,true]"].matrix == {"m": "b", "n": True}


def test_cells_with_equal_names_stay_apart() -> None:
    found, _ = expanded("  a: {uses: x.y, matrix: {m: ['a b', 'a_b', 'a/b']}}\n")
    assert len(found.nodes) == 3


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ("{m: '${{ params.p }}'}", "must be a list"),
        ("{m: []}", "at least one value"),
        ("{m: '${{ steps.b.value }}'}", '"steps" cannot be used here'),
        ("{m: '${{ matrix.m }}'}", '"matrix" cannot be used here'),
    ],
)
def test_a_matrix_that_is_no_list_or_reads_steps_is_a_problem(matrix: str, said: str) -> None:
    found, problems = expanded(f"  a: {{uses: x.y, matrix: {matrix}}}\n  b: {{uses: x.y}}\n", {"p": 3})
    assert list(found.nodes) == ["b"]
    assert [problem.path for problem in problems] == ["/steps/a/matrix/m"]
    assert said in problems[0].message


def test_a_matrix_over_a_value_that_is_not_given_yet_is_one_unknown_cell() -> None:
    found, problems = expanded("  a: {uses: x.y, matrix: {m: '${{ params.p }}'}, with: {v: '${{ matrix.m }}'}}\n")
    assert (list(found.nodes), problems) == (["a[?]"], [])
    node = found.nodes["a[?]"]
    assert not is_settled(found.resolve(node.step.with_, node, {}))


def test_a_cell_feeds_its_counterpart_and_all_cells_feed_the_rest() -> None:
    found, _ = expanded(
        "  a: {uses: x.y, matrix: {m: [1, 2]}}\n"
        "  b: {uses: x.y, matrix: {m: [1, 2], n: [5]}, with: {v: '${{ steps.a.v }}'}}\n"
        "  c: {uses: x.y, with: {v: '${{ steps.a }}'}, needs: [b]}\n"
        "  d: {uses: x.y, matrix: {other: [1]}, with: {v: '${{ steps.a }}'}}\n"
    )
    assert {name: found.upstream(node) for name, node in found.nodes.items()} == {
        "a[1]": (), "a[2]": (), "b[1,5]": ("a[1]",), "b[2,5]": ("a[2]",),
        "c": ("a[1]", "a[2]", "b[1,5]", "b[2,5]"), "d[1]": ("a[1]", "a[2]"),
    }  # fmt: skip


def test_what_is_known_is_filled_in_and_the_rest_is_pending() -> None:
    found, _ = expanded(
        "  a: {uses: x.y}\n"
        "  b:\n    uses: x.y\n    with: {p: '${{ params.p[0] }}', e: 'is ${{ env.E }}', s: '${{ steps.a.v }}',"
        " r: '${{ run.id }}', t: '${{ secrets.T }}'}\n",
        {"p": [7]},
    )
    node = found.nodes["b"]
    value = found.resolve(node.step.with_, node, {})
    assert (value["p"], value["e"], value["t"]) == (7, "is e", Secret("T"))
    assert isinstance(value["s"], Pending) and isinstance(value["r"], Pending)
    assert plain(value) == {
        "p": 7, "e": "is e", "s": "${{ steps.a.v }}", "r": "${{ run.id }}", "t": {"$secret": "T"}
    }  # fmt: skip
    assert found.resolve(node.step.with_["s"], node, {"a": {"v": [1]}}) == [1]


def test_a_result_is_never_looked_at_for_expressions() -> None:
    found, _ = expanded("  a: {uses: x.y}\n  b: {uses: x.y, with: {s: '${{ steps.a.v }}'}}\n")
    node = found.nodes["b"]
    assert found.resolve(node.step.with_, node, {"a": {"v": "${{ env.E }}"}}) == {"s": "${{ env.E }}"}
