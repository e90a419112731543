from __future__ import annotations

import networkx as nx
import pytest

from e2i.errors import BadInput
from e2i.planning import graph


@pytest.fixture
def diamond() -> nx.DiGraph[str]:
    made: nx.DiGraph[str] = nx.DiGraph()
    made.add_nodes_from(["d", "c", "b", "a", "alone"])
    made.add_edges_from([("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")])
    return made


def labels(made: nx.DiGraph[str]) -> dict[str, set[str]]:
    return {name: {name} for name in made} | {"tag:x": {"b", "alone"}, "group": {"b", "c"}}


def test_the_order_follows_the_edges_and_else_the_spec(diamond: nx.DiGraph[str]) -> None:
    assert graph.order(diamond) == ["a", "c", "b", "d", "alone"]


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
