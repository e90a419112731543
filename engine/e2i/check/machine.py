"""Checks that this machine has the GPUs and labels that steps request of it.

In: expanded steps, settings. Out: problems. What nodes of a cluster have is only known in a run.
"""

from __future__ import annotations

from collections.abc import Iterator

from e2i.catalog.action import Effect
from e2i.catalog.registry import Registry
from e2i.machines import Dask
from e2i.settings import Settings
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.problems import Code, Problem


def lacking(expanded: Expanded, settings: Settings) -> Iterator[Problem]:
    """Yields a problem for each step that this machine must execute and has not the GPUs or labels for."""
    home = settings.executor
    for node in expanded.nodes.values():
        wanted = node.options.resources
        if not wanted.gpus and not wanted.labels:
            continue
        if isinstance(home, Dask) and may_leave(node.step.uses, settings.registry):
            continue
        lacks = [f"{name}: {value}" for name, value in wanted.labels.items() if home.labels.get(name) != value]
        if (wanted.gpus or 0) > home.gpus:
            lacks.append(f"gpus: {wanted.gpus} (it has {home.gpus})")
        if lacks:
            path = (*node.path, "resources")
            where = path if node.document.has(path) else ("defaults", "resources")
            yield node.document.problem(
                "unmet-resources",
                where,
                f"this machine executes the step, and lacks {', '.join(lacks)}",
                f"request less, or state what the machine has: `executor: {{type: {home.type}, gpus: …, labels: …}}`"
                " in config/; a cluster executes pure steps alone (docs/cluster.md)",
            )


def may_leave(uses: str, registry: Registry) -> bool:
    """Returns whether the action can be executed on a node: it is pure, and does not look at the outside."""
    action = registry.action(uses)
    return action is not None and action.effect is Effect.PURE and not action.inline and not action.always


CODES = (
    Code(
        "unmet-resources",
        "A step that requests what this machine does not have",
        "The settings state the GPUs and labels of this machine. Steps with effects stay on it, and without a cluster "
        "all steps do.",
        "Request less, or set `executor: {gpus: …, labels: …}` in config/ to what the machine has.",
        "steps:\n  a: {uses: debug.sleep, with: {seconds: 0}, resources: {gpus: 1}}\n",
        "steps:\n  a: {uses: debug.sleep, with: {seconds: 0}, resources: {cpus: 1}}\n",
    ),
)
