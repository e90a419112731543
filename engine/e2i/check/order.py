"""Whether the steps can be put in an order. In: an expanded spec. Out: unknown steps in ``needs``, and whole cycles."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from e2i.spec import suggest
from e2i.spec.expand import Expanded, Path, StepNode
from e2i.spec.problems import Problem, pointer


def check(expanded: Expanded) -> Iterator[Problem]:
    """Problems of ``needs`` and of the order as a whole."""
    document, steps = expanded.loaded.document, expanded.loaded.spec.steps
    path: Path
    for group, step in steps.items():
        for index, needed in enumerate(step.needs):
            if needed not in steps:
                path = ("steps", group, "needs", index)
                meant = suggest.certain(needed, steps)
                fixes = ({"op": "replace", "path": pointer(path), "value": meant},) if meant else ()
                yield Problem(
                    "unknown-step",
                    f'there is no step "{needed}"',
                    document.place(path),
                    pointer(path),
                    suggest.hint(needed, steps),
                    fixes=fixes,
                )
    upstream = {group: set(nodes[0].upstream) & set(steps) for group, nodes in expanded.groups.items() if nodes}
    try:
        TopologicalSorter(upstream).prepare()
    except CycleError as error:
        cycle = _from_fixed_start([str(name) for name in error.args[1][:-1]])
        first = ("steps", cycle[0])
        yield Problem(
            "cycle",
            f"steps wait for each other: {' → '.join([*cycle, cycle[0]])}",
            document.place(first, key=True),
            pointer(first),
            "remove one of these references",
        )


def along(expanded: Expanded) -> Iterator[StepNode]:
    """Every node after those that it reads from, as far as they are in no cycle."""
    seen: set[str] = set()
    for start in expanded.nodes.values():
        waiting = [] if start.id in seen else [(start, False)]
        while waiting:  # a stack of our own: a chain may be longer than Python's
            node, ready = waiting.pop()
            if ready:
                yield node
            elif node.id not in seen:
                seen.add(node.id)
                waiting.append((node, True))
                above = (expanded.nodes[name] for name in expanded.upstream(node) if name not in seen)
                waiting.extend((other, False) for other in above)


def _from_fixed_start(cycle: list[str]) -> list[str]:
    """The cycle read along the flow of data, from its alphabetically first step, so that it always reads the same."""
    first = cycle.index(min(cycle))
    return cycle[first:] + cycle[:first]
