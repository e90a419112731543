"""Checks that the steps have an order. In: a spec. Out: unknown steps in ``needs``, and whole cycles."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from e2i.spec import fixes, suggest
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import Path, StepNode
from e2i.spec.load import LoadedSpec
from e2i.spec.models import PipelineSpec
from e2i.spec.problems import Code, Problem

if TYPE_CHECKING:
    from e2i.check.context import CheckContext


def check(context: CheckContext) -> Iterator[Problem]:
    """Yields problems of ``needs`` and of cycles, in a spec and its included specs. An included spec counts as one
    step.
    """
    for included_spec in context.expanded.loaded.files():
        yield from _check_file(included_spec)


def _check_file(loaded: LoadedSpec) -> Iterator[Problem]:
    document, spec = loaded.document, loaded.spec
    path: Path
    steps = {**spec.steps, **spec.finally_}
    waits: dict[str, set[str]] = {}
    reads: dict[str, Collection[str]] = {}
    for section, group, step in spec.every_step():
        held = loaded.references(section, group)
        read = {
            str(reference.path[0]): path for path, reference in held if reference.root == "steps" and reference.path
        }
        reads[group] = read
        waits[group] = {name for name in (*read, *step.needs) if name in steps}
        for name in sorted(waits[group] & spec.finally_.keys()) if section == "steps" else ():
            path = read.get(name) or (section, group, "needs", step.needs.index(name))
            message = f'"{name}" is defined under finally, so it runs after all steps, including "{group}"'
            yield document.problem("waits-for-finally", path, message, "move one of the two steps")
        for index, needed in enumerate(step.needs):
            if needed not in steps and needed not in loaded.unjudged:
                path = (section, group, "needs", index)
                yield document.problem(
                    "unknown-step",
                    path,
                    f'there is no step "{needed}"',
                    suggest.hint(needed, steps),
                    fixes=fixes.named(path, needed, steps),
                )
        if group in step.needs:
            if group not in read:
                waits[group].discard(group)
            path = (section, group, "needs", step.needs.index(group))
            fix = fixes.removed(path)
            yield document.problem("cycle", path, f'step "{group}" waits for itself', "remove this entry", fixes=fix)
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        cycle = _from_fixed_start([str(name) for name in error.args[1][:-1]])
        first = ("steps" if cycle[0] in spec.steps else "finally", cycle[0])
        yield document.problem(
            "cycle",
            first,
            f"steps wait for each other: {' → '.join([*cycle, cycle[0]])}",
            _to_remove(cycle, reads, spec),
            key=True,
        )


def _to_remove(cycle: list[str], reads: Mapping[str, Collection[str]], spec: PipelineSpec) -> str:
    """Returns the hint for a cycle. ``needs`` that no reference stands for can be removed without another change.

    ``cycle`` is in the direction of the data: each step waits for the one before it.
    """
    only_needs = [
        (needed, name) for needed, name in zip([cycle[-1], *cycle], cycle, strict=False) if needed not in reads[name]
    ]
    if not only_needs:
        return "remove one of these references"
    needed, name = only_needs[0]
    because = ": all others of the cycle read outputs" if len(only_needs) == 1 else ""
    return f'remove "{needed}" from needs of step "{name}"{because}'


def along(expanded: Expanded) -> Iterator[StepNode]:
    """Yields every node after those that it reads from, as far as they are in no cycle."""
    seen: set[str] = set()
    for start in expanded.nodes.values():
        waiting = [] if start.id in seen else [(start, False)]
        while waiting:  # an explicit stack: a chain may be longer than Python's
            node, ready = waiting.pop()
            if ready:
                yield node
            elif node.id not in seen:
                seen.add(node.id)
                waiting.append((node, True))
                upstream = (expanded.nodes[name] for name in expanded.upstream(node) if name not in seen)
                waiting.extend((other, False) for other in upstream)


def _from_fixed_start(cycle: list[str]) -> list[str]:
    """Returns the cycle in the direction of the data, from its alphabetically first step, so that it is always the
    same.
    """
    first = cycle.index(min(cycle))
    return cycle[first:] + cycle[:first]


CODES = (
    Code(
        "waits-for-finally",
        "A step that waits for a step under finally",
        "Steps under `finally` run when all others have ended, so no other step can wait for one.",
        "Move one of the two steps.",
        "steps:\n  a: {uses: debug.echo, needs: [end]}\nfinally:\n  end: {uses: debug.echo}\n",
        "steps:\n  a: {uses: debug.echo}\nfinally:\n  end: {uses: debug.echo}\n",
    ),
    Code(
        "cycle",
        "Steps that wait for each other",
        "A step waits for every step that it refers to or `needs`. In a cycle, none could ever start.",
        "Remove one of the references.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ steps.b.value }}"}}\n  b: {uses: debug.echo, needs: [a]}\n',
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ steps.b.value }}"}}\n  b: {uses: debug.echo}\n',
    ),
)
