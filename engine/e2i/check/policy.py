"""Checks a spec against the operator's policy. In: steps, and an ``Authority``. Out: what is not allowed.

``check`` checks a spec before it runs. ``Authority.call`` checks one step's parameters. It is called again right before
the step is executed, when the values are known that are only known in a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace
from pydantic import BaseModel

from e2i.catalog import marks
from e2i.catalog.action import Action, Place
from e2i.catalog.context import QueryLimits
from e2i.catalog.registry import BUILT_IN, Registry, tool_name
from e2i.check import paths, provenance, secrecy
from e2i.documents import ParamValues
from e2i.errors import Refused
from e2i.policy import Origin, Policy, Rules
from e2i.spec import durations, expressions, fixes, suggest
from e2i.spec.composer import Limits
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import StepNode, is_settled
from e2i.spec.problems import Code, Problem
from e2i.spec.sizes import parse as bytes_of

if TYPE_CHECKING:
    from e2i.check.context import CheckContext

Path = tuple[str | int, ...]
SHARED = ("trials", "replicas")
"""The budgets that all steps of a run have in common."""


class Violation(Struct, frozen=True):
    """Something that a step may not do. ``path`` leads to it from the step."""

    code: str
    message: str
    path: Path
    hint: str | None = None
    meant: str | None = None
    """The value that must have been meant, if that is certain."""


class Authority(Struct, frozen=True):
    """The author of the spec, what the operator allows them, and the lookups that the checks need."""

    policy: Policy
    origin: Origin = Origin.HUMAN
    look: paths.Look = lambda path: "file"
    """Looks up what is at a workspace path."""
    hosts: Callable[[str], Collection[str]] = lambda tool: ()
    """Returns the hosts of a tool's servers; none when the tool is embedded."""
    sinks: Sequence[str] = ()
    """The tools that every run reports to."""
    registry: Registry = BUILT_IN
    """The tools that specs can use."""
    home: str = ""
    """The folder of the workspace."""
    places: Callable[[str], Mapping[str, Place]] = lambda tool: {}
    """Returns the places in the settings of a tool, by name."""

    @property
    def rules(self) -> Rules:
        return self.policy.rules(self.origin)

    def call(
        self, node: StepNode, params: ParamValues, spent: Mapping[str, int], made: Collection[str] = ()
    ) -> Iterator[Violation]:
        """Yields what is not allowed in a step's parameters, as far as they are known.

        ``spent`` is what other steps use of the shared budgets, ``made`` the artifacts that steps produced.
        """
        found = self.registry.action(node.step.uses)
        if found is None:
            return
        for path in provenance.forged(params, made):
            message = f'"{_dotted(path)}" is an artifact that no step of this run produced'
            yield Violation(
                "forged-artifact", message, ("with", *path), "refer to the step that produces it: ${{ steps.ID.NAME }}"
            )
        yield from self._secrets(node, found, params)
        yield from self._code(found, params)
        for path, mark, value in _marked(found, params):
            match mark:
                case marks.WorkspaceFile() | marks.FilePattern() | marks.WrittenFile() if isinstance(value, str):
                    if problem := self._file(mark, value):
                        message = f'"{_dotted(path)}": {problem.message}'
                        yield Violation(problem.code, message, ("with", *path), problem.hint, problem.meant)
                case marks.NamedPlace() if isinstance(value, str):
                    yield from self._place(tool_name(node.step.uses), mark, value, path)
                case marks.Reaches() if value is not None:
                    if violation := _host(mark.tool, self):
                        yield replace(violation, path=("with", *path))
                case marks.Budget() if isinstance(value, int):
                    yield from self._budget(mark.of, value, spent.get(mark.of, 0), path)
                case marks.Budget() if isinstance(value, str):
                    yield from self._memory(mark.of, value, path)
                case marks.Privilege() if mark.value in (value, "*") and not getattr(self.rules, mark.name):
                    message = f'"{_dotted(path)}: {_shown(value)}" is not allowed for specs of origin {self.origin}'
                    yield Violation("policy-privilege", message, ("with", *path), _ask(f"{self.origin}.{mark.name}"))

    def _code(self, action: Action, params: ParamValues) -> Iterator[Violation]:
        """Yields a Python file that the step runs where the action does not always run one."""
        if action.privilege == "run_python" or self.rules.run_python:
            return
        for path, mark, value in _marked(action, params):
            if isinstance(mark, marks.WorkspaceFile) and mark.code and isinstance(value, str):
                message = f'"{_dotted(path)}" runs a Python file, which specs of origin {self.origin} may not'
                yield Violation("policy-privilege", message, ("with", *path), _ask(f"{self.origin}.run_python"))

    def _file(
        self, mark: marks.WorkspaceFile | marks.FilePattern | marks.WrittenFile, value: str
    ) -> paths.PathProblem | None:
        match mark:
            case marks.WorkspaceFile():
                return paths.check(mark.path(value), self.rules, self.look, self.home, many=mark.is_many(value))
            case marks.FilePattern():
                return paths.check(value, self.rules, self.look, many=True)
            case marks.WrittenFile():
                return paths.check_written(value, self.rules, self.look)

    def _secrets(self, node: StepNode, action: Action, params: ParamValues) -> Iterator[Violation]:
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
            hint = (
                suggest.hint(name, allowed, most=12)
                or f"the operator names them under `tools: {tool}: {mark.setting or mark.of}:`"
            )
            yield Violation(f"unknown-{what}", f'the settings have no {what} "{name}"', where, hint, meant)
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

    def _memory(self, what: str, asked: str, path: Path) -> Iterator[Violation]:
        with suppress(ValueError):  # no size at all: another check reports it
            if bytes_of(asked) > bytes_of(getattr(self.rules.budgets, what)):
                yield _beyond(self, what, f'"{_dotted(path)}" asks for {asked}', ("with", *path))

    @property
    def limits_runs(self) -> bool:
        """True when runs may not take more than some time or memory, or cost more, by their estimate."""
        budgets = self.rules.budgets
        return (budgets.time, budgets.memory, budgets.cost) != (None, None, None)

    def query_limits(self) -> QueryLimits:
        """Returns what queries may take."""
        budgets = self.rules.budgets
        return QueryLimits(budgets.query_rows, durations.parse(budgets.query_time), self.origin.value)


def amounts(action: Action | None, params: ParamValues) -> dict[str, int]:
    """Returns the step's share of each budget that the steps of a run have in common."""
    asked: dict[str, int] = {}
    if action is None or not any(isinstance(mark, marks.Budget) for _, mark in marks.of(action.params)):
        return asked
    for _, mark, value in _marked(action, params):
        if isinstance(mark, marks.Budget) and mark.of in SHARED and isinstance(value, int):
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
        if asked := amounts(authority.registry.action(node.step.uses), params):
            spent.update(asked)


def _problem(node: StepNode, violation: Violation) -> Problem:
    """Returns the violation with its location: in the step, or in the defaults when the step inherits the value."""
    path: Path = (*node.path, *violation.path)
    if not node.document.has(path) and node.document.has(("defaults", *violation.path)):
        path = ("defaults", *violation.path)
    written = node.document.value(path)
    is_written = isinstance(written, str) and not expressions.has_expression(written)
    fix = fixes.replaced(path, violation.meant) if violation.meant and is_written else ()
    return node.document.problem(violation.code, path, violation.message, violation.hint, fixes=fix)


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
    registry = authority.registry
    found = registry.action(uses)
    if found is None:
        return
    if not allows(rules.actions, uses, registry) or allows(rules.refused, uses, registry):
        message = f"{uses} is not allowed for specs of origin {origin}"
        yield Violation("policy-tool", message, ("uses",), _ask(f"{origin}.actions"))
    elif found.privilege and not getattr(rules, found.privilege):
        message = f"{uses} is not allowed for specs of origin {origin}"
        yield Violation("policy-privilege", message, ("uses",), _ask(f"{origin}.{found.privilege}"))
    if node.agent is not None:
        yield from _role(uses, node.agent, authority)
    if violation := _host(tool_name(uses), authority):
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


def _role(uses: str, role: str, authority: Authority) -> Iterator[Violation]:
    roles, registry = authority.policy.roles, authority.registry
    if role not in roles:
        meant = suggest.certain(role, roles)
        hint = suggest.hint(role, roles, most=12) or "the operator lists roles in config/policy.yaml"
        yield Violation("unknown-agent", f'there is no agent role "{role}"', ("agent",), hint, meant)
    elif not allows(roles[role], uses, registry):
        able = sorted(name for name, patterns in roles.items() if allows(patterns, uses, registry))
        hint = f"roles that may: {', '.join(able)}" if able else _ask(f"roles.{role}")
        yield Violation("policy-tool", f'the agent role "{role}" may not use {uses}', ("uses",), hint)


def _host(tool: str, authority: Authority) -> Violation | None:
    """Returns the violation of a tool whose service is on a host that runs of this origin may not reach."""
    if "*" in authority.rules.hosts:
        return None
    host = next((host for host in authority.hosts(tool) if not authority.may_reach(host)), None)
    if host is None:
        return None
    message = f"{tool} is on the host {host}, and specs of origin {authority.origin} may not reach it"
    return Violation("policy-host", message, ("uses",), _ask(f"{authority.origin}.hosts"))


def allows(patterns: Sequence[str], uses: str, registry: Registry) -> bool:
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


def _marked(action: Action, params: ParamValues) -> Iterator[tuple[Path, marks.Mark, Any]]:
    """Yields every marked value among the parameters, or its default where it is not set."""
    if not marks.of(action.params):
        return
    yield from marks.found(action.params, {**_defaults(action.params), **params})


@cache
def _defaults(model: type[BaseModel]) -> ParamValues:
    return ParamValues({name: item.default for name, item in model.model_fields.items() if not item.is_required()})


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def _shown(value: Any) -> str:
    if not is_settled(value):
        return "a value that is only known during the run"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _ask(setting: str) -> str:
    return f"the operator decides: {setting} in config/policy.yaml"


CODES = (
    Code(
        "policy-tool",
        "An action that is not allowed",
        "config/policy.yaml lists which actions may be used, by the author of the spec and by agent role. A step that "
        "names its agent is limited to the role of that agent in the platform.",
        "Use an allowed action, assign the step to an agent that may use it, or ask the operator.",
        "steps:\n  a: {uses: opik.score, agent: model_trainer, with: {name: fit, value: 1}}\n",
        "steps:\n  a: {uses: opik.score, agent: observability_connector, with: {name: fit, value: 1}}\n",
    ),
    Code(
        "policy-privilege",
        "An operation that needs a permission",
        "Some operations are allowed to people and refused to specs written by a machine, unless config/policy.yaml "
        "allows them: running Python files of the workspace, moving a model to production, keeping a service after "
        "its run, and deploying, changing or ending endpoints.",
        "Leave the operation out and have a person do it, or ask the operator.",
        example="stage: production in an agent's mlflow.promote",
    ),
    Code(
        "policy-budget",
        "A budget that is exceeded",
        "Bytes, steps, matrix combinations, trials, rows, replicas, attempts and time limits are limited by the author "
        "of the spec, so that no spec takes the machine for itself. The trials of all steps are counted together, and "
        "so are their replicas.",
        "Reduce the amount, or have the operator raise the budget.",
        "steps:\n  a: {uses: debug.echo, timeout: 60d}\n",
        "steps:\n  a: {uses: debug.echo, timeout: 1h}\n",
    ),
    Code(
        "policy-host",
        "A host that specs may not reach",
        "A run connects to the services of its profile. Specs written by a machine may only use services on this "
        "machine, unless the operator lists more hosts.",
        "Use a profile whose services are allowed, or ask the operator.",
        example="MLFLOW_TRACKING_URI names a server elsewhere, and an agent wrote the spec.",
    ),
    Code(
        "unknown-agent",
        "An agent role that does not exist",
        "`agent` declares which of the platform's agents a step acts for. config/policy.yaml lists them.",
        "Use one of the roles, or leave `agent` out.",
        "steps:\n  a: {uses: debug.echo, agent: model_trainr}\n",
        "steps:\n  a: {uses: debug.echo, agent: model_trainer}\n",
    ),
    Code(
        "policy-secret",
        "A secret that these specs may not use",
        "config/policy.yaml lists which secrets steps may use, by the author of the spec: all for people, none for "
        "specs written by a machine.",
        "Leave it out, have a person run the step, or ask the operator.",
        example="${{ secrets.WAREHOUSE }} in an agent's python.call, where agent.secrets does not list it",
    ),
    Code(
        "forged-artifact",
        "An artifact that no step produced",
        "Tables, models, services and other artifacts are references to the outputs of steps in this run. A literal "
        "one could refer to a service elsewhere, or to the data of another project.",
        "Refer to the step that produces it: ${{ steps.ID.NAME }}.",
        f'steps:\n  a: {{uses: debug.echo, with: {{value: {{type: table, digest: "sha256:{"0" * 64}"}}}}}}\n',
        'steps:\n  d: {uses: dataset.hcp}\n  a: {uses: debug.echo, with: {value: "${{ steps.d.journeys }}"}}\n',
    ),
    Code(
        "policy-connection",
        "A database that specs may not use",
        "A spec names a connection of the settings, never an address. config/policy.yaml lists the connections that "
        "specs of each origin may use; specs written by a machine may use none unless it does. A connection is for "
        "reading only, unless its settings say `read_only: false`.",
        "Use an allowed connection, or ask the operator.",
        example="connection: payroll, where agent.connections is [warehouse]",
    ),
    Code(
        "unknown-connection",
        "A database that the settings do not name",
        "Connections are under `tools: database: connections:` in config/, also in the profile of the run.",
        "Use a name from the hint, choose the profile that has it, or ask the operator.",
        example="connection: warehose, where the settings name warehouse",
    ),
    Code(
        "policy-location",
        "A remote location that specs may not use",
        "A spec names a location of the settings, never an address. config/policy.yaml lists the locations that specs "
        "of each origin may use; specs written by a machine may use none unless it does. A location is for reading "
        "only, unless its settings say `read_only: false`.",
        "Use an allowed location, or ask the operator.",
        example="location: backups, where agent.locations is [data]",
    ),
    Code(
        "unknown-location",
        "A remote location that the settings do not name",
        "Locations are under `tools: remote: locations:` in config/, also in the profile of the run.",
        "Use a name from the hint, choose the profile that has it, or ask the operator.",
        example="location: dta, where the settings name data",
    ),
)
