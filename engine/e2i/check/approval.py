"""Find what makes a plan need an approval, by the rules under ``approval`` in the policy.

In: steps and an ``Authority``. Out: demands, each with its rule and its step. What is only known during the run counts
as if it needed one. ``of_step`` is called again right before a step is executed, with the values that it has then.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from e2i.catalog import marks
from e2i.catalog.action import Action
from e2i.catalog.artifacts import Artifact
from e2i.catalog.registry import Registry, tool_name
from e2i.check import secrecy
from e2i.check.policy import Authority, allows, amounts
from e2i.documents import ParamValues
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import Pending, StepNode, is_settled

HERE = frozenset({"localhost", "127.0.0.1", "::1"})
"""The hosts that are this machine."""
OUTPUT = re.compile(r"\$\{\{\s*steps\.[A-Za-z_][\w-]*\.[A-Za-z_]\w*\s*\}\}")
"""An expression that is nothing but an output of a step."""
SHOWN = 3
"""Most demands in a message."""


class Demand(Struct, frozen=True):
    """A reason for which a plan needs an approval. ``step`` is empty for what all steps do together."""

    rule: str
    """As in the policy: ``actions``, ``rules: hosts``, ``above: trials``."""
    step: str
    detail: str

    def __str__(self) -> str:
        return f"""{f'step "{self.step}": ' if self.step else ""}{self.detail} ({self.rule})"""


def demands(expanded: Expanded, authority: Authority, selected: Collection[str]) -> list[Demand]:
    """Returns why the plan of these steps needs an approval; nothing when the policy demands none. Steps that are not
    ``selected`` are not executed.
    """
    rule = authority.rules.approval
    if not rule.is_demanded:
        return []
    nodes = [node for name, node in expanded.nodes.items() if name in selected]
    found = list(_sinks(authority))
    spent: Counter[str] = Counter()
    for node in nodes:
        params = expanded.known(node).values
        found += of_step(node, params, authority, spent)
        spent.update(amounts(authority.registry.action(node.step.uses), params))
    if rule.above.steps is not None and len(nodes) > rule.above.steps:
        found.append(Demand("above: steps", "", f"{len(nodes):,} steps"))
    return found


def of_step(node: StepNode, params: ParamValues, authority: Authority, spent: Mapping[str, int]) -> Iterator[Demand]:
    """Yields why a step needs an approval. ``spent`` is what other steps use of the amounts."""
    rule, uses = authority.rules.approval, node.step.uses
    action = authority.registry.action(uses)
    if not rule.is_demanded or action is None:
        return
    if allows(rule.actions, uses, authority.registry):
        yield Demand("actions", node.id, uses)
    if action.privilege and action.privilege in rule.rules:
        yield Demand(f"rules: {action.privilege}", node.id, uses)
    if "secrets" in rule.rules and (names := sorted({name for _, name in secrecy.used(node, params)})):
        yield Demand("rules: secrets", node.id, f"receives the secret {', '.join(names)}")
    if "hosts" in rule.rules and (host := _elsewhere(tool_name(uses), authority)):
        yield Demand("rules: hosts", node.id, f"{uses} on {host}")
    for path, mark, value in _marked(node, action, params, authority.registry):
        name = ".".join(map(str, path))
        for what in _permissions(mark, value, tool_name(uses), authority):
            if what in rule.rules and what != action.privilege:
                yield Demand(f"rules: {what}", node.id, f"{uses} with {name}: {_shown(value)}")
        if isinstance(mark, marks.Budget) and _exceeds(getattr(rule.above, mark.of), value, spent.get(mark.of, 0)):
            yield Demand(f"above: {mark.of}", node.id, f"{uses} with {name}: {_shown(value)}")


def text(found: Sequence[Demand]) -> str:
    """Returns the demands for people."""
    more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"{'; '.join(map(str, found[:SHOWN]))}{more}"


def _sinks(authority: Authority) -> Iterator[Demand]:
    if "hosts" not in authority.rules.approval.rules:
        return
    for tool in authority.sinks:
        if host := _elsewhere(tool, authority):
            yield Demand("rules: hosts", "", f"reports to {tool} on {host}")


def _elsewhere(tool: str, authority: Authority) -> str | None:
    """Returns the first host of the tool's services that is not this machine."""
    return next((host for host in authority.hosts(tool) if host.lower() not in HERE), None)


def _marked(
    node: StepNode, action: Action, params: ParamValues, registry: Registry
) -> Iterator[tuple[tuple[str | int, ...], marks.Mark, Any]]:
    """Yields every marked value, and the whole parameter where the value is not known yet."""
    defaults = {name: item.default for name, item in action.params.model_fields.items() if not item.is_required()}
    values = {**defaults, **params}
    open_ones = {name for name, value in values.items() if not is_settled(value)}
    for path, mark, value in marks.found(action.params, values):
        if path[0] not in open_ones:
            yield path, mark, value
    artifacts = {name for name in open_ones if _is_artifact(node, values[name], registry)}
    for name, mark, is_inside in dict.fromkeys(
        (steps[0], mark, len(steps) > 1) for steps, mark in marks.of(action.params)
    ):
        if name in open_ones and not (is_inside and name in artifacts):
            yield (str(name),), mark, _UNKNOWN


def _is_artifact(node: StepNode, value: Any, registry: Registry) -> bool:
    """Returns whether a value is the output of a step that is always an artifact, in which nothing is marked. The value
    that it has in the run is checked again.
    """
    if not isinstance(value, Pending) or not OUTPUT.fullmatch(value.text):
        return False
    name, output = map(str, value.references[0].path)
    units = node.instance.units.get(name, ())
    action = registry.action(units[0].step.uses) if len(units) == 1 and units[0].combination is None else None
    field = action.outputs.model_fields.get(output) if action is not None else None
    return field is not None and isinstance(field.annotation, type) and issubclass(field.annotation, Artifact)


def _permissions(mark: marks.Mark, value: Any, tool: str, authority: Authority) -> Iterator[str]:
    """Yields the permissions that a marked value uses."""
    match mark:
        case marks.Privilege() if value is _UNKNOWN or mark.value in (value, "*"):
            yield mark.name
        case marks.MayNeed() if value is _UNKNOWN or value in mark.values:
            yield mark.name
        case marks.WrittenFile() if value is not None:
            yield "write_roots"
        case marks.WorkspaceFile(code=True) if value is not None:
            yield "run_python"
        case marks.Reaches() if value is not None and _elsewhere(mark.tool, authority):
            yield "hosts"
        case marks.NamedPlace() if value is not None:
            yield mark.of
            place = authority.places(tool).get(value) if isinstance(value, str) else None
            if value is _UNKNOWN or (place is not None and place.host is not None and place.host not in HERE):
                yield "hosts"


def _exceeds(most: int | None, value: Any, spent: int) -> bool:
    if most is None:
        return False
    return value is _UNKNOWN or (isinstance(value, int) and spent + value > most)


def _shown(value: Any) -> str:
    if value is _UNKNOWN:
        return "a value that is only known during the run"
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"


class _Unknown:
    """The value of a parameter that is only known during the run."""


_UNKNOWN = _Unknown()
