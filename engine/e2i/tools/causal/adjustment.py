"""Check what a question adjusts for against its causal graph, or derive it. In: a question. Out: findings.

The same at plan time, where columns may be unknown, and in a run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec import Struct

from e2i.errors import StepError
from e2i.tools.causal import EstimateParams, front_door
from e2i.tools.causal import graph as graphs
from e2i.tools.causal.graph import Graph, GraphError
from e2i.tools.causal.learners import LEARNERS

Path = tuple[str | int, ...]


class Asked(Struct, frozen=True):
    """The parts of a question that its graph is about. ``columns`` of the table are None where they are not known."""

    treatment: str
    outcome: str
    modifiers: tuple[str, ...]
    confounders: tuple[str, ...]
    lines: tuple[str, ...]
    unmeasured: tuple[str, ...]
    columns: Collection[str] | None

    @property
    def adjusted(self) -> list[tuple[Path, str]]:
        """Where the names of adjusted columns are, and the names."""
        roles = (("effect_modifiers", self.modifiers), ("confounders", self.confounders))
        return [((role, index), name) for role, names in roles for index, name in enumerate(names)]


class Finding(Struct, frozen=True):
    """What is wrong, at a path of the parameters."""

    path: Path
    code: str
    message: str
    hint: str


def confounders(asked: Asked) -> tuple[str, ...]:
    """Return the columns to adjust for besides the modifiers: the given ones, or those that the graph asks for."""
    if asked.confounders:
        return asked.confounders
    graph = graphs.read(asked.lines, asked.unmeasured)
    found = graphs.back_door(graph, asked.treatment, asked.outcome, asked.modifiers)
    return tuple(name for name in found or () if name not in asked.modifiers)


def settle(params: EstimateParams, columns: Collection[str]) -> EstimateParams:
    """Return the question with the columns that it adjusts for. Raises StepError for what its graph forbids."""
    if not params.graph:
        return params
    asked = Asked(
        params.treatment,
        params.outcome,
        params.effect_modifiers,
        params.confounders,
        params.graph,
        params.unmeasured,
        columns,
    )
    require(findings(asked) if params.instrument is None else of_instruments(asked, (params.instrument,), "instrument"))
    if params.instrument is not None:
        return params
    needed = confounders(asked)
    if needed and LEARNERS[params.estimator].form == "predictions":
        hint = f"list {', '.join(needed)} in `effect_modifiers` too, or use another estimator"
        message = f"{params.estimator} has one list of columns, and the graph asks to adjust for more"
        raise StepError(message, code="bad-covariate", hint=hint)
    return params.model_copy(update={"confounders": needed})


def findings(asked: Asked) -> list[Finding]:
    """Return all that is wrong, in the order of the parameters; what follows from a broken graph is left out."""
    graph, found = _read(asked)
    if graph is None or found:
        return found
    bad = [*_controls(asked, graph)]
    wrong = {one.path for one in bad}
    roles = (asked.treatment, asked.outcome)  # among the columns they are a problem of their own
    left = [name for path, name in asked.adjusted if path not in wrong and name not in roles]
    return [*bad, *_paths(asked, graph, left)]


def require(found: Iterable[Finding]) -> None:
    """Raise StepError for the first finding."""
    for one in found:
        raise StepError(one.message, code=one.code, hint=one.hint)


def of_instruments(asked: Asked, instruments: Sequence[str], role: str | None = None) -> list[Finding]:
    """Return what the graph says against instruments: no path to the treatment, or one to the outcome besides it.

    ``role`` is the parameter of the one instrument; None: the list ``instruments``.
    """
    graph, found = _read(asked)
    if graph is None or found:
        return found
    good = graphs.instruments(graph, asked.treatment, asked.outcome, (*asked.modifiers, *asked.confounders))
    for index, name in enumerate(instruments):
        if name not in good:
            message = f'by the graph "{name}" is no instrument: {_why(graph, asked, name)}'
            hint = f"instruments of this graph: {', '.join(good)}" if good else "the graph has no instrument"
            path: Path = ("instruments", index) if role is None else (role,)
            found.append(Finding(path, "bad-instrument", message, hint))
    return found


def of_mediators(asked: Asked, mediators: Sequence[str]) -> list[Finding]:
    """Return what the graph says against a front door."""
    graph, found = _read(asked)
    if graph is None or found:
        return found
    for index, name in enumerate(mediators):
        if name not in graph.arrows:
            message = f'the mediator "{name}" is not in the graph'
            found.append(Finding(("mediators", index), "bad-graph", message, "add its arrows"))
    if found or (bad := [*_controls(asked, graph)]):
        return found or bad
    treatment, outcome = asked.treatment, asked.outcome
    if why := front_door.against(graph, treatment, outcome, mediators, asked.confounders):
        door = front_door.front_door(graph, treatment, outcome)
        hint = f"a front door of this graph: {', '.join(door)}" if door else "this graph has no front door of columns"
        message = f"by the graph, {', '.join(mediators)} is no front door: {why}"
        found.append(Finding(("mediators",), "open-path", message, hint))
    return found


def _read(asked: Asked) -> tuple[Graph | None, list[Finding]]:
    """Return the graph, None when its lines are no graph, and what is wrong with its lines and nodes."""
    try:
        graph = graphs.read(asked.lines, asked.unmeasured)
    except GraphError as error:
        path: Path = ("graph",) if error.index is None else ("graph", error.index)
        return None, [Finding(path, "bad-graph", str(error), "correct the arrows")]
    return graph, [*_nodes(asked, graph)]


def _why(graph: Graph, asked: Asked, name: str) -> str:
    """Return why a column is no instrument."""
    import networkx as nx

    if name not in graph.arrows:
        return "it is not in the graph"
    if name in graph.unmeasured or name in graph.after(asked.treatment):
        return "it is unmeasured" if name in graph.unmeasured else f'"{asked.treatment}" changes it'
    given = (*asked.modifiers, *asked.confounders)
    if nx.is_d_separator(graph.arrows, name, asked.treatment, set(given)):
        return f'it does not change "{asked.treatment}"'
    left = Graph(graph.without_effects_of(asked.treatment), graph.unmeasured)
    path = graphs.open_path(left, name, asked.outcome, given, effects=True)
    return f"the path {path} does not go through the treatment" if path else "a path does not go through the treatment"


def _nodes(asked: Asked, graph: Graph) -> Iterator[Finding]:
    """Yield names that are in the graph or in the question only."""
    for role, name in (("treatment", asked.treatment), ("outcome", asked.outcome)):
        if name not in graph.arrows:
            yield Finding(("graph",), "bad-graph", f'the {role} "{name}" is not in the graph', "add its arrows")
        elif name in graph.unmeasured:
            index = asked.unmeasured.index(name)
            yield Finding(("unmeasured", index), "bad-graph", f'"{name}" is the {role}, and measured', "remove it")
    for index, name in enumerate(asked.unmeasured):
        if name not in graph.arrows:
            yield Finding(("unmeasured", index), "bad-graph", f'"{name}" is not in the graph', "add its arrows")
    for path, name in asked.adjusted:
        if name not in graph.arrows and name not in (asked.treatment, asked.outcome):
            hint = "add its arrows, so that it is known whether it may be adjusted for"
            yield Finding(path, "bad-graph", f'"{name}" is adjusted for and not in the graph', hint)
    if asked.columns is not None:
        for name in sorted(set(graph.arrows) - graph.unmeasured - set(asked.columns)):
            index = next(at for at, line in enumerate(asked.lines) if name in graphs.ARROW.split(line.strip()))
            hint = "correct the name, or list it in `unmeasured`"
            yield Finding(("graph", index), "bad-graph", f'"{name}" in the graph is no column of the table', hint)


def _controls(asked: Asked, graph: Graph) -> Iterator[Finding]:
    """Yield adjusted columns that the treatment changes, or that are not measured."""
    after, before = graph.after(asked.treatment), graph.before(asked.outcome)
    fine = [name for _, name in asked.adjusted if name not in after]
    for path, name in asked.adjusted:
        if name in graph.unmeasured:
            yield Finding(path, "bad-control", f'"{name}" is unmeasured, and cannot be adjusted for', "remove it")
        if name not in after or name == asked.outcome:
            continue
        if name in before:
            closed = graphs.effect_path(graph, asked.treatment, name, asked.outcome)
            what = f"a mediator: adjusting for it closes {closed}, a part of the effect"
        elif opened := graphs.open_path(graph, asked.treatment, asked.outcome, [*fine, name], outwards=True):
            what = f"a collider, or changed by one: adjusting for it opens {opened}"
        else:
            what = f'a descendant of "{asked.treatment}", and cannot be a cause of it'
        yield Finding(path, "bad-control", f'"{name}" is {what}', "remove it")


def _paths(asked: Asked, graph: Graph, adjusted: Sequence[str]) -> Iterator[Finding]:
    """Yield what is open after adjusting: opened by a column, or left open because none is adjusted for."""
    treatment, outcome = asked.treatment, asked.outcome
    if asked.outcome not in graph.after(treatment):
        message = f'the graph has no path of arrows from "{treatment}" to "{outcome}": it says that the effect is 0'
        yield Finding(("graph",), "bad-graph", message, "add the arrows of the effect")
        return
    if not asked.confounders:
        if graphs.back_door(graph, treatment, outcome, adjusted) is None:
            yield Finding(("graph",), "open-path", _open(graph, asked, adjusted), _other_ways(graph, asked, adjusted))
        return
    if graphs.is_back_door(graph, treatment, outcome, adjusted):
        return
    message = _open(graph, asked, adjusted)
    for path, name in asked.adjusted:
        rest = [other for other in adjusted if other != name]
        if name in adjusted and graphs.is_back_door(graph, treatment, outcome, rest):
            yield Finding(path, "bad-control", f'"{name}" is a collider: {message}', "remove it")
            return
    yield Finding(("confounders",), "open-path", message, _other_ways(graph, asked, adjusted))


def _open(graph: Graph, asked: Asked, adjusted: Sequence[str]) -> str:
    treatment, outcome = asked.treatment, asked.outcome
    closable = set(graph.arrows) - graph.after(treatment) - graph.unmeasured - {treatment, outcome}
    path = graphs.open_path(graph, treatment, outcome, adjusted, closable=closable)
    path = path or graphs.open_path(graph, treatment, outcome, adjusted)
    named = f"the path {path}" if path else f"a path of more than {graphs.LONGEST} arrows"
    if not asked.confounders:
        return f"no measured columns close {named}, so adjusting cannot give the effect"
    return f"with what is adjusted for, {named} is open, and is not the effect"


def _other_ways(graph: Graph, asked: Asked, adjusted: Sequence[str]) -> str:
    """Return what could be done instead."""
    treatment, outcome = asked.treatment, asked.outcome
    if asked.confounders:
        needed = graphs.back_door(graph, treatment, outcome, [name for name in asked.modifiers if name in adjusted])
        if needed is not None:
            return f"adjust for {', '.join(needed) or 'nothing'}, or leave `confounders` out to derive them"
    ways = []
    if found := graphs.instruments(graph, treatment, outcome):
        ways.append(f"{found[0]} is an instrument by this graph (causal.iv)")
    if door := front_door.front_door(graph, treatment, outcome):
        ways.append(f"{', '.join(door)} is a front door by this graph (causal.front_door)")
    return "; ".join(ways) or "measure an unmeasured cause on it"
