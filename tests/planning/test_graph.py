from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2i.errors import BadInput
from e2i.planning import graph

WAITS = {"d": ("b", "c"), "c": ("a",), "b": ("a",), "a": (), "alone": ()}


@pytest.fixture
def diamond() -> nx.DiGraph[str]:
    return graph.build(WAITS)


def labels(made: nx.DiGraph[str]) -> dict[str, set[str]]:
    return {name: {name} for name in made} | {"tag:x": {"b", "alone"}, "group": {"b", "c"}}


def test_the_order_follows_the_edges_and_else_the_spec() -> None:
    assert graph.order(WAITS) == ["a", "c", "b", "d", "alone"]


@given(st.permutations(list(WAITS)))
def test_an_order_that_is_kept_is_the_one_that_would_be_found(names: list[str]) -> None:
    waits = {name: WAITS[name] for name in names}
    position = {name: index for index, name in enumerate(names)}
    assert graph.order(waits) == list(nx.lexicographical_topological_sort(graph.build(waits), key=position.__getitem__))


@pytest.mark.parametrize(
    ("expressions", "chosen"),
    [
        (["a"], "a"),
        (["b"], "a b"),
        (["+b"], "a b"),
        (["b+"], "a b c d"),
        (["tag:x"], "a alone b"),
        (["group"], "a b c"),
        (["c", "alone"], "a alone c"),
        ([], ""),
    ],
)
def test_a_selection_includes_what_it_needs(diamond: nx.DiGraph[str], expressions: list[str], chosen: str) -> None:
    assert graph.select(diamond, expressions, labels(diamond)) == set(chosen.split())


def test_an_unknown_name_is_refused_with_a_suggestion(diamond: nx.DiGraph[str]) -> None:
    with pytest.raises(BadInput) as raised:
        graph.select(diamond, ["alon"], labels(diamond))
    assert raised.value.hint == 'did you mean "alone"?'
