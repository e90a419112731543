"""Causal graphs: criteria equal a brute-force check of all paths, and a question is checked against its graph."""

from __future__ import annotations

import time
from itertools import combinations, pairwise

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from called import LINEAR
from context import LocalContext
from e2i.catalog.registry import BUILT_IN
from e2i.errors import StepError
from e2i.tools.causal import actions, adjustment, front_door, graph

Edges = frozenset[tuple[str, str]]


def brute_force_open(edges: Edges, one: str, other: str, given: frozenset[str]) -> bool:
    """Whether some path is open, by the definition of d-separation (Pearl 2009, definition 1.2.3)."""
    nodes = {node for edge in edges for node in edge}
    after = {node: {node} for node in nodes}
    for _ in nodes:
        for tail, head in edges:
            after[tail] |= after[head]

    def walk(path: list[str]) -> bool:
        if path[-1] == other:
            triples = zip(path, path[1:], path[2:], strict=False)
            return all(
                bool(after[node] & given) if (a, node) in edges and (b, node) in edges else node not in given
                for a, node, b in triples
            )
        return any(
            walk([*path, node]) for node in nodes - set(path) if (path[-1], node) in edges or (node, path[-1]) in edges
        )

    return walk([one])


def random_graph(seed: int) -> tuple[graph.Graph, Edges]:
    """Seven nodes in a random order, with treatment and outcome among them and one that is unmeasured."""
    r = np.random.default_rng(seed)
    names = [str(name) for name in r.permutation(["t", "y", "a", "b", "c", "d", "u"])]
    edges = frozenset((one, other) for one, other in combinations(names, 2) if r.random() < 0.4)
    lines = [f"{one} -> {other}" for one, other in sorted(edges)]
    missing = [name for name in names if not any(name in edge for edge in edges)]
    lines += [f"{name} -> z" for name in missing]  # a node without arrows could not be written
    edges |= {(name, "z") for name in missing}
    unmeasured = ["u"]
    return graph.read(lines, unmeasured), edges


@pytest.mark.parametrize("seed", range(20))
def test_adjustment_sets_equal_a_check_of_all_paths(seed: int) -> None:
    found, edges = random_graph(seed)
    after = nx.descendants(nx.DiGraph(edges), "t")
    left = frozenset(edge for edge in edges if edge[0] != "t")
    others = sorted({node for edge in edges for node in edge} - {"t", "y"})
    valid = []
    for size in range(len(others) + 1):
        for chosen in map(frozenset, combinations(others, size)):
            is_valid = not chosen & after and not brute_force_open(left, "t", "y", chosen)
            assert graph.is_back_door(found, "t", "y", chosen) == is_valid, sorted(chosen)
            if not chosen & after and "y" not in nx.ancestors(nx.DiGraph(edges), "t"):
                path = graph.open_path(found, "t", "y", chosen)
                assert (path is None) == is_valid
            if is_valid and "u" not in chosen:
                valid.append(chosen)
    derived = graph.back_door(found, "t", "y")
    assert (derived is None) == (not valid)
    if derived is not None:
        assert frozenset(derived) in valid and not any(other < frozenset(derived) for other in valid)


@pytest.mark.parametrize("seed", range(20))
def test_front_doors_equal_a_check_of_all_paths(seed: int) -> None:
    """By the definition (Pearl 2009, 3.3.3), for all sets of mediators; half of the graphs have a hidden t <- u -> y."""
    r = np.random.default_rng(seed)
    names = ["t", *(str(name) for name in r.permutation(["a", "b", "c", "d"])), "y"]
    edges = {(one, other) for one, other in combinations(names, 2) if r.random() < 0.35 and (one, other) != ("t", "y")}
    edges |= {("t", names[1]), (names[-2], "y"), ("u", str(r.choice(names))), ("u", "y" if seed % 2 else "t")}
    edges = {(one, other) for one, other in edges if one != other}
    found = graph.read([f"{one} -> {other}" for one, other in sorted(edges)], ["u"])
    arrows = nx.DiGraph(sorted(edges))
    without_t = frozenset(edge for edge in edges if edge[0] != "t")
    others, valid = sorted({"a", "b", "c", "d"} & set(arrows)), []
    for chosen in (frozenset(one) for size in range(1, 5) for one in combinations(others, size)):
        left = frozenset(edge for edge in edges if edge[0] not in chosen)
        is_valid = (
            all(chosen & set(path) for path in nx.all_simple_paths(arrows, "t", "y"))
            and not any(brute_force_open(without_t, "t", name, frozenset()) for name in chosen)
            and not any(brute_force_open(left, name, "y", frozenset("t")) for name in chosen)
        )
        assert front_door.is_front_door(found, "t", "y", chosen) == is_valid, sorted(chosen)
        if is_valid:
            valid.append(chosen)
    derived = front_door.front_door(found, "t", "y")
    effective = nx.has_path(arrows, "t", "y") if "t" in arrows and "y" in arrows else False
    if effective:
        assert (derived is None) == (not valid), sorted(edges)
    if derived is not None:
        assert frozenset(derived) in valid and not any(
            other == frozenset(derived) - {n} for other in valid for n in derived
        )


def test_the_graph_says_which_other_design_there_is() -> None:
    smoking = graph.read(["smoking -> tar -> cancer", "smoking <-> cancer"])  # Pearl 2009, figure 3.5
    assert graph.back_door(smoking, "smoking", "cancer") is None
    assert front_door.front_door(smoking, "smoking", "cancer") == ("tar",)
    assert front_door.front_door(graph.read(["a -> b -> c", "a <-> b", "a <-> c"]), "a", "c") is None
    draft = graph.read(["lottery -> served -> income", "served <-> income", "lottery <- month", "income <- age"])
    assert graph.instruments(draft, "served", "income") == ("lottery", "month")
    direct = graph.read(["lottery -> served -> income", "served <-> income", "lottery -> income"])
    assert graph.instruments(direct, "served", "income") == ()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a b"], "is no chain of arrows"),
        (["a ->"], "is no chain of arrows"),
        (["a -> a"], "is its own cause"),
        (["b -> c -> a", "a -> b"], "the arrows go round: a -> b -> c -> a"),
    ],
)
def test_what_is_no_graph_is_said(lines: list[str], message: str) -> None:
    with pytest.raises(graph.GraphError, match=message) as failed:
        graph.read(lines)
    assert failed.value.index == len(lines) - 1


def asked(lines: list[str], confounders: tuple[str, ...] = (), **given: tuple[str, ...]) -> adjustment.Asked:
    return adjustment.Asked(
        "t", "y", given.get("modifiers", ()), confounders, tuple(lines), given.get("hidden", ()), None
    )


@pytest.mark.parametrize(
    ("lines", "bad", "clean", "says"),
    [
        (["t -> m -> y", "t <- a -> y", "t -> y"], ("a", "m"), ("a",), "closes t -> m -> y"),
        (["t -> c <- y", "t <- a -> y", "t -> y"], ("a", "c"), ("a",), "opens t -> c <- y"),
        (["t -> c <- b -> y", "t -> y", "a -> y"], ("a", "c"), ("a",), "opens t -> c <- b -> y"),
        (["t -> d", "t <- a -> y", "t -> y"], ("a", "d"), ("a",), 'a descendant of "t"'),
        (["t <- a -> y", "t <- u -> c <- v -> y", "t -> y"], ("a", "c"), ("a",), "t <- u -> c <- v -> y is open"),
    ],
)
def test_a_planted_control_is_found_and_its_clean_twin_is_not(
    lines: list[str], bad: tuple[str, ...], clean: tuple[str, ...], says: str
) -> None:
    hidden = tuple(name for name in "uv" if any(name in line for line in lines))
    (found,) = adjustment.findings(asked(lines, bad, hidden=hidden))
    assert found.path == ("confounders", 1) and found.code == "bad-control" and says in found.message
    assert adjustment.findings(asked(lines, clean, hidden=hidden)) == []
    assert adjustment.findings(asked(lines, hidden=hidden)) == []


def test_the_derived_columns_are_adjusted_for_and_drawn(ctx: LocalContext) -> None:
    r = np.random.default_rng(1)
    size, other = r.normal(size=800), r.normal(size=800)
    called = r.binomial(1, 1 / (1 + np.exp(-size)))
    sales = 2 * size + called + other + r.normal(size=800)
    frame = pd.DataFrame({"size": size, "other": other, "called": called, "sales": sales, "after": sales + called})
    lines = ["called <- size -> sales", "called -> sales <- other", "called -> after <- sales"]

    def estimate(**given: object) -> object:
        params = {"table": ctx.table(frame), "treatment": "called", "outcome": "sales", "graph": lines, **LINEAR}
        return actions.estimate(BUILT_IN.validate("causal.estimate", {**params, **given}), ctx)

    found = estimate()
    assert found.adjusted_for == ["size"] and found.effect.low < 1 < found.effect.high  # type: ignore[attr-defined]
    page = (ctx.open(found.report) / "index.html").read_text()  # type: ignore[attr-defined]
    assert "called &lt;- size -&gt; sales" in page and page.count("data:image/png") == 2
    with pytest.raises(StepError, match='"after" is a collider') as failed:
        estimate(confounders=["size", "after"])
    assert failed.value.code == "bad-control"


def test_the_path_that_no_column_can_close_is_named() -> None:
    (found,) = adjustment.findings(asked(["t -> y", "t <- a -> y", "t <-> y"]))
    assert found.code == "open-path" and "close the path t <-> y, so" in found.message
    (found,) = adjustment.findings(asked(["t -> y", "t <- a -> y", "t <-> y"], ("a",)))
    assert found.code == "open-path" and "the path t <-> y is open" in found.message
    (found,) = adjustment.findings(asked(["t -> y", "t <- a -> y", "b <-> t", "b <-> y"], ("b",)))
    assert "t <-> b <-> y" in found.message


def test_a_treatment_among_the_columns_has_no_second_problem() -> None:
    lines = ["t -> y", "t <- a -> y"]
    assert adjustment.findings(asked(lines, modifiers=("t", "a"))) == []  # said of the columns' roles already
    assert adjustment.findings(asked(lines, ("t", "a"))) == []


def test_paths_are_shown_with_their_arrows() -> None:
    found = graph.read(["a -> b <- c"])
    assert graph.shown(found, ["a", "b", "c"]) == "a -> b <- c"


@pytest.mark.parametrize("seed", range(20))
def test_separation_is_that_of_networkx(seed: int) -> None:
    found, _ = random_graph(seed)
    names = sorted(found.arrows)
    for one, other in combinations(names, 2):
        rest = [name for name in names if name not in (one, other)]
        for given in (rest[:0], rest[:1], rest[1:3], rest):
            expected = nx.is_d_separator(found.arrows, {one}, {other}, set(given))
            assert graph.separated(found.arrows, one, other, given) == expected, (one, other, given)


def test_a_graph_of_layers_is_judged_at_once() -> None:
    layers = [["t"], *([f"l{layer}_{place}" for place in range(4)] for layer in range(13)), ["y"]]
    lines = [f"{one} -> {other}" for before, after in pairwise(layers) for one in before for other in after]
    found = graph.read(
        [*lines, *(f"c -> {node}" for node in layers[1]), "c -> t"], [n for layer in layers[1:-1] for n in layer]
    )
    began = time.process_time()
    assert not graph.is_back_door(found, "t", "y", ())
    assert graph.is_back_door(found, "t", "y", ["c"])
    graph.open_path(found, "t", "y", ())
    front_door.front_door(found, "t", "y")
    assert time.process_time() - began < 5
