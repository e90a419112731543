"""Expands a loaded spec into its actual steps: every matrix combination and the steps of included specs.

In: a loaded spec and parameter values. Out: ``Expanded``. Values known before the run (``params``, ``matrix``, ``env``)
are filled in. All others stay ``Pending``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from msgspec.structs import replace

from e2i.documents import ParamValues
from e2i.spec import expressions, fixes, params, suggest
from e2i.spec.expansion import matrix
from e2i.spec.expansion.evaluation import bounded
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.matrix import BadMatrixError, Combination
from e2i.spec.expansion.nodes import Path, Pending, SpecInstance, StepNode, holds_secret, is_settled
from e2i.spec.expressions import Template
from e2i.spec.included import is_included
from e2i.spec.load import LoadedSpec
from e2i.spec.models import StepSpec
from e2i.spec.problems import Code, Fixes, Problem
from e2i.spec.references import Reference, Scope
from e2i.spec.values import ExpressionError, MissingError, Secret

MAX_INSTANCES = 1_000
MAX_NODES = 200_000


def expand(
    loaded: LoadedSpec,
    values: ParamValues,
    env: Mapping[str, str],
    secrets: Collection[str] = (),
    *,
    most: int = MAX_NODES,
) -> tuple[Expanded, list[Problem]]:
    """Returns the steps of a spec for these parameter values. Problems: invalid matrices and included specs."""
    root = SpecInstance(loaded, params=ParamValues(values))
    expansion = _Expansion(Expanded(root, env, {}, secrets=frozenset(secrets)), min(most + 1, MAX_NODES))
    expansion.fill(root)
    last = [node for node in expansion.nodes.values() if node.final]
    nodes = expansion.nodes
    if last:
        nodes = {name: node for name, node in nodes.items() if not node.final} | {node.id: node for node in last}
    return replace(expansion.expanded, nodes=nodes, instances=tuple(expansion.instances)), expansion.problems


class _Expansion:
    """The walk over a spec and its included specs."""

    def __init__(self, expanded: Expanded, most: int) -> None:
        self.expanded = expanded
        self.nodes: dict[str, StepNode] = {}
        self.instances: list[SpecInstance] = []
        self.problems: list[Problem] = []
        self.most = most
        """Steps to create: one more than the policy allows, so that policy reports the excess."""
        self.is_full = False

    def fill(self, instance: SpecInstance) -> None:
        """Creates the nodes of an included spec, and those of the specs that it includes."""
        self.instances.append(instance)
        spec, around = instance.loaded.spec, instance.owner.options if instance.owner else None
        for section, name, step in spec.every_step():
            group = instance.prefix + name
            options = spec.options(step, around)
            held = instance.loaded.references(section, name)
            units: list[StepNode] = []
            names: dict[str, int] = {}
            for combination in self._combinations(instance, (section, name), step):
                ident = group if combination is None else f"{group}[{combination.label}]"
                names[ident] = names.get(ident, 0) + 1
                if names[ident] > 1:
                    ident += f"#{names[ident]}"
                unit = StepNode(
                    id=ident,
                    group=group,
                    combination=combination,
                    step=step,
                    options=options,
                    instance=instance,
                    section=section,
                    references=held,
                    inner=self._inner(instance, step),
                )
                units.append(unit)
                if combination is not None:
                    index = instance.combinations.setdefault(name, {}).setdefault(combination.names, {})
                    index.setdefault(combination.pairing(combination.names), unit)
                if unit.inner is None:
                    self._add(unit)
            instance.units[name] = tuple(units)
        for units_ in instance.units.values():
            for unit in units_:
                if unit.inner is not None and self._has_room(unit):
                    unit.inner.owner = unit
                    self._give(unit, unit.inner)
                    self.fill(unit.inner)

    def _add(self, node: StepNode) -> None:
        if len(self.nodes) < self.most:
            self.nodes[node.id] = node
        elif not self.is_full:
            self.is_full = True
            if self.most == MAX_NODES:
                self._problem("too-many-steps", node, (), f"there are more than {MAX_NODES:,} steps")

    def _has_room(self, unit: StepNode) -> bool:
        if len(self.instances) <= MAX_INSTANCES:
            return True
        if not self.is_full:
            self.is_full = True
            self._problem("too-many-steps", unit, ("uses",), f"there are more than {MAX_INSTANCES:,} included specs")
        return False

    @staticmethod
    def _inner(instance: SpecInstance, step: StepSpec) -> SpecInstance | None:
        loaded = instance.loaded.included.get(step.uses) if is_included(step.uses) else None
        return SpecInstance(loaded) if loaded else None

    def _combinations(self, instance: SpecInstance, path: Path, step: StepSpec) -> list[Combination] | list[None]:
        if step.matrix is None:
            return [None]
        document, base = instance.document, (*path, "matrix")

        def fill_in(name: str, written: Any) -> Any:
            return _known_now(instance, self.expanded.env, name, written)

        try:
            found = matrix.expand(step.matrix, fill_in, is_open=lambda value: isinstance(value, Pending))
        except BadMatrixError as error:
            full_path = (*base, *error.path)
            message = f'the matrix of step "{path[-1]}" is invalid: {error}'
            fix = _renamed(error.__cause__, full_path, document.value(full_path))
            self.problems.append(document.problem("bad-matrix", full_path, message, error.hint, fixes=fix))
            return []
        for where in found.unused:
            full_path = (*base, *where)
            message = f'this excludes nothing: no combination in the matrix of step "{path[-1]}" has these values'
            self.problems.append(document.problem("unused-exclude", full_path, message, severity="warning"))
        return found.combinations

    def _give(self, unit: StepNode, inner: SpecInstance) -> None:
        """Passes the step's ``with`` to the spec that it includes, as far as the values are known."""
        spec, given = inner.loaded.spec, unit.step.with_
        for name in given.keys() - spec.params.keys() - inner.loaded.unjudged:
            self._problem(
                "unknown-parameter",
                unit,
                ("with", name),
                f'the included spec {unit.step.uses} has no parameter "{name}"',
                suggest.hint(name, spec.params),
                fixes.renamed((*unit.path, "with", name), spec.params, given),
                key=True,
            )
        for name, declared in spec.params.items():
            if name not in given:
                if declared.required:
                    message = f'the included spec {unit.step.uses} needs the parameter "{name}"'
                    self._problem(
                        "missing-parameter", unit, ("with", name), message, f"pass {name} under with:", key=True
                    )
                else:
                    inner.params[name] = params.check_value(declared, declared.default)[0]
                continue
            try:
                value = bounded(self.expanded.fixed(given[name], unit))
            except ExpressionError as error:
                self._problem("bad-expression", unit, ("with", name), str(error), error.hint)
                inner.unusable.add(name)
                continue
            if not is_settled(value):
                if not is_settled(given[name]):  # it stands for an expression that cannot be read
                    inner.unusable.add(name)
                elif _waits_for_a_run(given[name], unit.instance):
                    inner.waiting.add(name)
                continue
            wrong = None
            if not isinstance(value, Secret):
                value, wrong = params.check_value(declared, value)
            if wrong:
                self._problem("bad-parameter", unit, ("with", name), f'the value of parameter "{name}" {wrong}')
                inner.unusable.add(name)
            else:
                inner.params[name] = value

    def _problem(
        self,
        code: str,
        unit: StepNode,
        path: Path,
        message: str,
        hint: str | None = None,
        safe_fixes: Fixes = (),
        *,
        key: bool = False,
    ) -> None:
        full_path = (*unit.path, *path)
        self.problems.append(unit.document.problem(code, full_path, message, hint, key=key, fixes=safe_fixes))


def _known_now(instance: SpecInstance, env: Mapping[str, str], name: str, written: Any) -> Any:
    """Returns the values written for a name of a matrix.

    A declared parameter without a value, which ``validate`` allows, is one unknown value. Raises BadMatrixError.
    """
    waits = []
    for reference in _references(written):
        if reference.root == "params" and reference.path:
            parameter = str(reference.path[0])
            if parameter in instance.waiting:
                message = f'parameter "{parameter}" is only known in a run, but the combinations must be known before'
                raise BadMatrixError(message, "a matrix may read params and env", (name,))
            if parameter in instance.loaded.spec.params and parameter not in instance.params:
                waits.append(reference)
    if waits:
        return Pending(str(written), tuple(waits))
    try:
        value = expressions.render(written, Scope(params=instance.params, env=env))
        if holds_secret(value):
            raise BadMatrixError("a secret cannot be a value of a matrix", "pass it to the step under with:", (name,))
        return value
    except ExpressionError as error:
        raise BadMatrixError(str(error), error.hint or "a matrix may read params and env", (name,)) from error


def _renamed(cause: BaseException | None, path: Path, text: Any) -> Fixes:
    """Returns the fix for an expression that failed because of an unknown name."""
    if not isinstance(cause, MissingError):
        return ()
    return fixes.reworded(path, text, "params.", cause.key, suggest.certain(cause.key, cause.known))


def _waits_for_a_run(written: Any, instance: SpecInstance) -> bool:
    """Returns True when a value depends on results of steps, or on the run."""
    return any(
        ref.root in ("steps", "run") or (ref.root == "params" and bool(instance.waiting & set(map(str, ref.path[:1]))))
        for ref in _references(written)
    )


def _references(value: Any) -> list[Reference]:
    """Returns the references in nested data."""
    return [
        reference
        for _, template in expressions.walk(value)
        if isinstance(template, Template)
        for reference in template.references
    ]


CODES = (
    Code(
        "bad-matrix",
        "A matrix that cannot be expanded",
        "Each name of a matrix has a list of values that is known before the run: from the spec, or from `params` or "
        "`env`. The limit is 1,000 combinations.",
        "Write a list, or refer to a parameter of type list.",
        'steps:\n  a: {uses: debug.echo}\n  b: {uses: debug.echo, matrix: {n: "${{ steps.a.value }}"}}\n',
        "params:\n  all: {type: list, default: [1, 2]}\n"
        'steps:\n  b: {uses: debug.echo, matrix: {n: "${{ params.all }}"}}\n',
    ),
    Code(
        "unused-exclude",
        "An exclude that matches nothing",
        "No combination of the matrix has these values, so the entry has no effect. A value may be mistyped. This is a "
        "warning.",
        "Correct the values, or remove the entry.",
        "steps:\n  a: {uses: debug.echo, matrix: {n: [1, 2], exclude: [{n: 3}]}}\n",
        "steps:\n  a: {uses: debug.echo, matrix: {n: [1, 2], exclude: [{n: 2}]}}\n",
    ),
    Code(
        "too-many-steps",
        "More steps or included specs than a run can have",
        "The limits are 200,000 steps, whatever policy allows, and 1,000 included specs. Each matrix combination is "
        "counted, because a few lines could otherwise ask for any number.",
        "Include fewer specs, or make the matrix smaller.",
        example="matrix: {seed: […]} over an included spec of 1,000 steps, with 1,000 seeds",
    ),
)
