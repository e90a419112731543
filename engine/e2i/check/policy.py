"""Checks a spec against the operator's policy. In: steps, and an ``Authority``. Out: what is not allowed.

``check`` checks a spec before it runs. ``Authority.call`` checks one step's parameters. It is called again right before
the step is executed, when the values are known that are only known in a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace
from pydantic import BaseModel

from e2i.catalog import marks, registry
from e2i.catalog.action import Action, Place
from e2i.check import paths, provenance, secrecy
from e2i.errors import Refused
from e2i.policy import Origin, Policy, Rules
from e2i.spec import durations, suggest
from e2i.spec.composer import Limits
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import StepNode
from e2i.spec.problems import Problem, pointer

if TYPE_CHECKING:
    from e2i.check.context import CheckContext

Path = tuple[str | int, ...]


class Violation(Struct, frozen=True):
    """Something that a step may not do. ``path`` leads to it from the step."""

    code: str
    message: str
    path: Path
    hint: str | None = None
    fixes: tuple[dict[str, Any], ...] = ()


class Authority(Struct, frozen=True):
    """The author of the spec, what the operator allows them, and the lookups that the checks need."""

    policy: Policy
    origin: Origin = Origin.HUMAN
    look: paths.Look = lambda path: "file"
    """Looks up what is at a workspace path."""
    host: Callable[[str], str | None] = lambda tool: None
    """Returns the host of a tool's service, or None when the tool is embedded."""
    sinks: Sequence[str] = ()
    """The tools that every run reports to."""
    places: Callable[[str], Mapping[str, Place]] = lambda tool: {}
    """Returns the places in the settings of a tool, by name."""

    @property
    def rules(self) -> Rules:
        return self.policy.rules(self.origin)

    def call(
        self, node: StepNode, params: Mapping[str, Any], spent: Mapping[str, int], made: Collection[str] = ()
    ) -> Iterator[Violation]:
        """Yields what is not allowed in a step's parameters, as far as they are known.

        ``spent`` is what other steps use of the shared budgets, ``made`` the artifacts that steps produced.
        """
        found = registry.action(node.step.uses)
        if found is None:
            return
        for path in provenance.forged(params, made):
            message = f'"{_dotted(path)}" is an artifact that no step of this run produced'
            yield Violation(
                "forged-artifact", message, ("with", *path), "refer to the step that produces it: ${{ steps.ID.NAME }}"
            )
        yield from self._secrets(node, found, params)
        for path, mark, value in _marked(found, params):
            match mark:
                case marks.WorkspaceFile() if isinstance(value, str):
                    if violation := paths.check(mark.path(value), self.rules, self.look):
                        yield Violation(
                            violation.code, f'"{_dotted(path)}": {violation.message}', ("with", *path), violation.hint
                        )
                case marks.WrittenFile() if isinstance(value, str):
                    if violation := paths.check_written(value, self.rules, self.look):
                        message = f'"{_dotted(path)}": {violation.message}'
                        yield Violation(violation.code, message, ("with", *path), violation.hint)
                case marks.NamedPlace() if isinstance(value, str):
                    yield from self._place(registry.tool_name(node.step.uses), mark, value, path)
                case marks.Budget() if isinstance(value, int):
                    yield from self._budget(mark.of, value, spent.get(mark.of, 0), path)
                case marks.Privilege() if value == mark.value and not getattr(self.rules, mark.name):
                    message = f'"{_dotted(path)}: {_shown(value)}" is not allowed for specs of origin {self.origin}'
                    yield Violation("policy-privilege", message, ("with", *path), _ask(f"{self.origin}.{mark.name}"))

    def _secrets(self, node: StepNode, action: Action, params: Mapping[str, Any]) -> Iterator[Violation]:
        for path, name in secrecy.used(node, params):
            where: Path = ("with", *path)
            if not secrecy.is_taken(action, path):
                message = f'"{_dotted(path)}" of {node.step.uses} accepts no secret, but this is "{name}"'
                yield Violation(secrecy.CODE, message, where, secrecy.HINT)
            elif not secrecy.is_allowed(self.rules.secrets, name):
                message = f'the secret "{name}" may not be used by specs of origin {self.origin}'
                yield Violation("policy-secret", message, where, _ask(f"{self.origin}.secrets"))

    def _place(self, tool: str, mark: marks.NamedPlace, name: str, path: Path) -> Iterator[Violation]:
        what, rule, where = mark.of.removesuffix("s"), getattr(self.rules, mark.of), ("with", *path)
        places = self.places(tool)
        allowed = [known for known in places if secrecy.is_allowed(rule, known)]
        if not secrecy.is_allowed(rule, name):
            message = f'the {what} "{name}" may not be used by specs of origin {self.origin}'
            yield Violation(f"policy-{what}", message, where, _ask(f"{self.origin}.{mark.of}"))
        elif (place := places.get(name)) is None:
            meant = suggest.certain(name, allowed)
            fixes = ({"op": "replace", "value": meant},) if meant else ()
            hint = suggest.hint(name, allowed, most=12) or f"the operator names them under `tools: {tool}: {mark.of}:`"
            yield Violation(f"unknown-{what}", f'the settings have no {what} "{name}"', where, hint, fixes)
        elif mark.written and place.read_only:
            message = f'the {what} "{name}" is only for reading'
            hint = f"the operator sets read_only: false in `tools: {tool}:`"
            yield Violation(f"policy-{what}", message, where, hint)
        elif place.host is not None and not self.may_reach(place.host):
            message = f'the {what} "{name}" is on {place.host}, which specs of origin {self.origin} may not reach'
            yield Violation("policy-host", message, where, _ask(f"{self.origin}.hosts"))

    def may_reach(self, host: str) -> bool:
        return any(pattern == "*" or _matches(host, pattern) for pattern in self.rules.hosts)

    def _budget(self, what: str, asked: int, spent: int, path: Path) -> Iterator[Violation]:
        if spent + asked > getattr(self.rules.budgets, what):
            others = f", with the {spent:,} of other steps" if spent else ""
            yield _beyond(self, what, f'"{_dotted(path)}" asks for {asked:,} {what}{others}', ("with", *path))


def amounts(node: StepNode, params: Mapping[str, Any]) -> dict[str, int]:
    """Returns the step's share of each budget that the steps of a run have in common."""
    found = registry.action(node.step.uses)
    asked: dict[str, int] = {}
    if found is None or not any(isinstance(mark, marks.Budget) for _, mark in marks.of(found.params)):
        return asked
    for _, mark, value in _marked(found, params):
        if isinstance(mark, marks.Budget) and mark.of == "trials" and isinstance(value, int):
            asked[mark.of] = asked.get(mark.of, 0) + value
    return asked


def size(count: int, what: str, authority: Authority) -> Violation | None:
    """Returns the violation of a text that is too long to be read."""
    most = authority.rules.budgets.bytes
    return _beyond(authority, "bytes", f"{what} more than {most:,} bytes", ()) if count > most else None


def limits(authority: Authority) -> Limits:
    """Returns the size limits of a spec."""
    return Limits(bytes=authority.rules.budgets.bytes, values=authority.rules.budgets.values)


def check(context: CheckContext) -> Iterator[Problem]:
    """Yields everything that the policy does not allow, as far as it is known before the run."""
    expanded = context.expanded
    authority = replace(context.authority, look=cache(context.authority.look))  # thousands of steps may name one file
    yield from sizes(expanded, authority)
    yield from _sinks(expanded, authority)
    spent: Counter[str] = Counter()
    for node in expanded.nodes.values():
        params = expanded.known(node).values  # other checks report the rest
        for violation in (*_step(node, authority), *authority.call(node, params, spent)):
            yield _problem(node, violation)
        if asked := amounts(node, params):
            spent.update(asked)


def _problem(node: StepNode, violation: Violation) -> Problem:
    """Returns the violation with its location: in the step, or in the defaults when the step inherits the value."""
    path: Path = (*node.path, *violation.path)
    if not node.document.has(path) and node.document.has(("defaults", *violation.path)):
        path = ("defaults", *violation.path)
    fixes = tuple({**fix, "path": pointer(path)} for fix in violation.fixes)
    return node.document.problem(violation.code, path, violation.message, violation.hint, fixes=fixes)


def sizes(expanded: Expanded, authority: Authority) -> Iterator[Problem]:
    """Yields problems of too many steps or combinations."""
    budgets = authority.rules.budgets
    if len(expanded.nodes) > budgets.steps:
        violation = _beyond(authority, "steps", f"there are more than {budgets.steps:,} steps", ())
        yield expanded.loaded.document.problem(violation.code, ("steps",), violation.message, violation.hint, key=True)
    for group, nodes in expanded.groups.items():
        if len(nodes) > budgets.combinations:
            asked = f'the matrix of "{group}" has {len(nodes):,} combinations'
            yield _problem(nodes[0], _beyond(authority, "combinations", asked, ("matrix",)))


def _sinks(expanded: Expanded, authority: Authority) -> Iterator[Problem]:
    for tool in authority.sinks:
        if violation := _host(tool, authority):
            message = f"runs are reported to a service elsewhere: {violation.message}"
            yield expanded.loaded.document.problem(violation.code, ("name",), message, violation.hint)


def _step(node: StepNode, authority: Authority) -> Iterator[Violation]:
    """Yields what is not allowed about a step, whatever its parameters are."""
    uses, origin, rules, step = node.step.uses, authority.origin, authority.rules, node.options
    found = registry.action(uses)
    if found is None:
        return
    if not _allows(rules.actions, uses) or _allows(rules.refused, uses):
        message = f"{uses} is not allowed for specs of origin {origin}"
        yield Violation("policy-tool", message, ("uses",), _ask(f"{origin}.actions"))
    elif found.privilege and not getattr(rules, found.privilege):
        message = f"{uses} is not allowed for specs of origin {origin}"
        yield Violation("policy-privilege", message, ("uses",), _ask(f"{origin}.{found.privilege}"))
    if node.agent is not None:
        yield from _role(uses, node.agent, authority.policy.roles)
    if violation := _host(registry.tool_name(uses), authority):
        yield violation
    if step.timeout and durations.parse(step.timeout) > durations.parse(rules.budgets.timeout):
        yield _beyond(authority, "timeout", f"the step sets a time limit of {step.timeout}", ("timeout",))
    if step.retry.attempts > rules.budgets.attempts:
        asked = f"the step asks for {step.retry.attempts} attempts"
        yield _beyond(authority, "attempts", asked, ("retry", "attempts"))


def _beyond(authority: Authority, budget: str, asked: str, path: Path) -> Violation:
    """Returns the violation of a budget."""
    most = getattr(authority.rules.budgets, budget)
    message = (
        f"{asked}, and specs of origin {authority.origin} may have {most if isinstance(most, str) else f'{most:,}'}"
    )
    return Violation("policy-budget", message, path, _ask(f"{authority.origin}.budgets.{budget}"))


def _role(uses: str, role: str, roles: Mapping[str, Sequence[str]]) -> Iterator[Violation]:
    if role not in roles:
        meant = suggest.certain(role, roles)
        fixes = ({"op": "replace", "value": meant},) if meant else ()
        hint = suggest.hint(role, roles, most=12) or "the operator lists roles in config/policy.yaml"
        yield Violation("unknown-agent", f'there is no agent role "{role}"', ("agent",), hint, fixes)
    elif not _allows(roles[role], uses):
        able = sorted(name for name, patterns in roles.items() if _allows(patterns, uses))
        hint = f"roles that may: {', '.join(able)}" if able else _ask(f"roles.{role}")
        yield Violation("policy-tool", f'the agent role "{role}" may not use {uses}', ("uses",), hint)


def _host(tool: str, authority: Authority) -> Violation | None:
    """Returns the violation of a tool whose service is on a host that runs of this origin may not reach."""
    if "*" in authority.rules.hosts:
        return None
    host = authority.host(tool)
    if host is None or authority.may_reach(host):
        return None
    message = f"{tool} is on the host {host}, and specs of origin {authority.origin} may not reach it"
    return Violation("policy-host", message, ("uses",), _ask(f"{authority.origin}.hosts"))


def _allows(patterns: Sequence[str], uses: str) -> bool:
    """Returns True when one of the patterns matches the action. Raises Refused for a pattern without an action."""
    tool = uses.partition(".")[0]
    for pattern in patterns:
        named, _, action = pattern.partition(".")
        if named == tool and action != "*" and registry.action(pattern) is None:
            declared = registry.tool(tool)
            hint = suggest.hint(action, [item.name for item in declared.actions], most=12) if declared else None
            raise Refused(f"config/policy.yaml: there is no action {pattern!r}", code="bad-policy", hint=hint)
    return any(pattern in ("*", f"{tool}.*", uses) for pattern in patterns)


def _matches(host: str, pattern: str) -> bool:
    before, star, after = pattern.lower().partition("*")
    host = host.lower()
    return (
        host == before
        if not star
        else len(host) >= len(pattern) - 1 and host.startswith(before) and host.endswith(after)
    )


def _marked(action: Action, params: Mapping[str, Any]) -> Iterator[tuple[Path, marks.Mark, Any]]:
    """Yields every marked value among the parameters, or its default where it is not set."""
    if not marks.of(action.params):
        return
    yield from marks.found(action.params, {**_defaults(action.params), **params})


@cache
def _defaults(model: type[BaseModel]) -> Mapping[str, Any]:
    return {name: item.default for name, item in model.model_fields.items() if not item.is_required()}


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _ask(setting: str) -> str:
    return f"the operator decides: {setting} in config/policy.yaml"
