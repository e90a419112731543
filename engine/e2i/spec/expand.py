"""A ``PipelineSpec`` and parameter values go in; the steps that there really are come out: one for each cell of a matrix.

What can be known before anything runs (``params``, ``matrix``, ``env``) can be filled in here; the rest stays ``Pending``.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from e2i.spec import expressions
from e2i.spec.expressions import ExpressionError, Reference, Secret, Template
from e2i.spec.load import LoadedSpec
from e2i.spec.models import StepOptions, StepSpec
from e2i.spec.problems import Problem, pointer

Path = tuple[str | int, ...]
MAX_CELLS = 1_000
RUN_FACTS = ("id", "name", "profile")
"""What expressions may read of the run: its id, the pipeline's name, and the profile. Not known before it starts."""


class BadMatrixError(ValueError):
    """A matrix cannot be taken apart; ``path`` leads to the fault from the matrix on."""

    def __init__(self, message: str, hint: str | None, path: Path) -> None:
        super().__init__(message)
        self.hint = hint
        self.path = path


@dataclass(frozen=True, slots=True)
class Pending:
    """The place of a value that is not known yet: the text of its expression, and the steps that it waits for."""

    text: str
    references: tuple[Reference, ...]


@dataclass(frozen=True)
class StepNode:
    """One step to carry out: a step of the spec, or one cell of a matrix step (``id`` is then ``train[XGBoost]``)."""

    id: str
    group: str
    """The step's id in the spec."""
    cell: Mapping[str, Any] | None
    step: StepSpec
    options: StepOptions

    @property
    def path(self) -> Path:
        return ("steps", self.group)

    @property
    def condition(self) -> str:
        """``when`` as it is written."""
        return str(self.step.when).lower() if isinstance(self.step.when, bool) else self.step.when

    @cached_property
    def references(self) -> tuple[tuple[Path, Reference], ...]:
        """Every reference in ``with`` and ``when``, with the path of the text that holds it."""
        held = {"with": self.step.with_, "when": self.step.when}
        return tuple(
            ((*self.path, *path), reference)
            for path, template in expressions.walk(held)
            if isinstance(template, Template)
            for reference in template.references
        )

    @property
    def upstream(self) -> frozenset[str]:
        """The ids, as the spec names them, of the steps that must come first."""
        return frozenset(self.step.needs) | {
            str(reference.path[0]) for _, reference in self.references if reference.root == "steps" and reference.path
        }


@dataclass(frozen=True)
class Expanded:
    """All steps of a pipeline, with what is known of their scope."""

    loaded: LoadedSpec
    params: Mapping[str, Any]
    env: Mapping[str, str]
    nodes: Mapping[str, StepNode]
    secrets: frozenset[str] = frozenset()
    """The names of the secrets that specs may use."""
    run: Mapping[str, str] = field(default_factory=dict)
    """The ``RUN_FACTS`` once there is a run."""

    @cached_property
    def groups(self) -> Mapping[str, tuple[StepNode, ...]]:
        """The nodes of each step of the spec, cells in the order of the matrix."""
        found: dict[str, list[StepNode]] = {}
        for node in self.nodes.values():
            found.setdefault(node.group, []).append(node)
        return {group: tuple(nodes) for group, nodes in found.items()}

    def feeding(self, node: StepNode, group: str) -> tuple[StepNode, ...]:
        """The nodes that ``steps.<group>`` means for ``node``: its own cell's counterpart, one step, or all cells."""
        nodes = self.groups.get(group, ())
        same = self._counterpart(node, nodes)
        return (same,) if same else nodes

    def upstream(self, node: StepNode) -> tuple[str, ...]:
        """The ids of the nodes that must be done before ``node``, sorted."""
        return tuple(sorted({above.id for group in node.upstream for above in self.feeding(node, group)}))

    def scope(self, node: StepNode | None, outputs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """The names that the node's expressions may use. ``outputs`` holds what finished nodes gave, by node id.

        For ``node=None``: the scope of the pipeline's ``outputs``.
        """
        return {
            "params": self.params,
            "env": self.env,
            "matrix": (node.cell if node else None) or {},
            "run": self.run,
            "steps": {group: self._result(node, group, outputs) for group in self.groups},
        }

    def is_known(self, node: StepNode | None, reference: Reference, outputs: Mapping[str, Any]) -> bool:
        """True when everything that the reference reads is there."""
        if reference.root == "steps" and reference.path:
            group = str(reference.path[0])
            feeding = self.feeding(node, group) if node else self.groups.get(group, ())
            return bool(feeding) and all(above.id in outputs for above in feeding)
        if reference.root == "params" and reference.path:
            return reference.path[0] in self.params
        if reference.root == "matrix":
            cell = (node.cell if node else None) or {}
            return not any(isinstance(value, Pending) for value in cell.values())
        return reference.root != "run" or bool(self.run)

    def resolve(self, value: Any, node: StepNode | None, outputs: Mapping[str, Mapping[str, Any]]) -> Any:
        """The value with every expression evaluated that can be, and ``Pending`` in place of the others.

        Raises ExpressionError.
        """
        if not any(True for _ in expressions.walk(value)):
            return value
        scope = self.scope(node, outputs)

        def known(reference: Reference) -> bool:
            return self.is_known(node, reference, outputs)

        return _resolve(value, scope, known)

    def _result(self, node: StepNode | None, group: str, outputs: Mapping[str, Mapping[str, Any]]) -> Any:
        nodes = self.groups[group]
        same = self._counterpart(node, nodes) if node else None
        if same is not None or nodes[0].cell is None:
            return outputs.get((same or nodes[0]).id, {})
        return [{"matrix": dict(cell.cell or {}), "outputs": outputs.get(cell.id, {})} for cell in nodes]

    @staticmethod
    def _counterpart(node: StepNode, nodes: tuple[StepNode, ...]) -> StepNode | None:
        """Between two matrix steps with the same names, a cell means the cell with its own values."""
        if node.cell is None:
            return None
        for other in nodes:
            if other.cell is not None and all(
                name in node.cell and node.cell[name] == value for name, value in other.cell.items()
            ):
                return other
        return None


def expand(
    loaded: LoadedSpec, params: Mapping[str, Any], env: Mapping[str, str], secrets: Collection[str] = ()
) -> tuple[Expanded, list[Problem]]:
    """The steps of a spec for these parameter values. Problems: a matrix that is no list, is too large, or not known yet."""
    nodes: dict[str, StepNode] = {}
    problems: list[Problem] = []
    for group, step in loaded.spec.steps.items():
        options = loaded.spec.options(step)
        try:
            cells = list(_cells(step, params, env, loaded.spec.params))
        except BadMatrixError as error:
            path: Path = ("steps", group, "matrix", *error.path)
            message = f'the matrix of step "{group}" is not usable: {error}'
            problems.append(Problem("bad-matrix", message, loaded.document.place(path), pointer(path), error.hint))
            cells = []
        if step.matrix is None:
            nodes[group] = StepNode(group, group, None, step, options)
            continue
        for cell in cells:
            name = f"{group}[{','.join(_label(value) for value in cell.values())}]"
            if name in nodes:
                name = f"{name}#{sum(other.group == group for other in nodes.values())}"
            nodes[name] = StepNode(name, group, cell, step, options)
    return Expanded(loaded, params, env, nodes, frozenset(secrets)), problems


def _cells(
    step: StepSpec, params: Mapping[str, Any], env: Mapping[str, str], declared: Collection[str]
) -> Iterator[dict[str, Any]]:
    """Every combination of the matrix's values, the last name varying fastest.

    A parameter that is declared but has no value, which ``validate`` allows, stands for one value that is not known.
    """
    if step.matrix is None:
        return
    axes: dict[str, list[Any]] = {}
    for name, written in step.matrix.items():
        if waits := [ref for ref in _parameters(written) if ref.path[0] in declared and ref.path[0] not in params]:
            axes[name] = [Pending(str(written), tuple(waits))]
            continue
        try:
            values = expressions.render(written, {"params": params, "env": env})
        except ExpressionError as error:
            raise BadMatrixError(str(error), error.hint or "a matrix may read params and env", (name,)) from error
        if not isinstance(values, list) or not values:
            raise BadMatrixError(f'"{name}" must be a list of at least one value', None, (name,))
        axes[name] = values
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > MAX_CELLS:
        raise BadMatrixError(f"it has {count:,} cells, more than {MAX_CELLS:,}", None, ())
    for combination in itertools.product(*axes.values()):
        yield dict(zip(axes, combination, strict=True))


def _parameters(value: Any) -> Iterator[Reference]:
    """The references to single parameters in nested data."""
    for _, template in expressions.walk(value):
        if isinstance(template, Template):
            yield from (ref for ref in template.references if ref.root == "params" and ref.path)


def _label(value: Any) -> str:
    if isinstance(value, Pending):
        return "?"
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    kept = "".join(char if char.isalnum() or char in "._-" else "_" for char in text)
    return kept[:40]


def _resolve(value: Any, scope: Mapping[str, Any], known: Callable[[Reference], bool]) -> Any:
    if isinstance(value, dict):
        return {key: _resolve(item, scope, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, scope, known) for item in value]
    if not isinstance(value, str) or not expressions.has_expression(value):
        return value
    template = expressions.parse(value)
    if all(known(reference) for reference in template.references):
        return expressions.evaluate(template, scope)
    return Pending(value, template.references)


def is_settled(value: Any) -> bool:
    """True when nothing in the value is ``Pending``."""
    if isinstance(value, dict):
        return all(map(is_settled, value.values()))
    if isinstance(value, list):
        return all(map(is_settled, value))
    return not isinstance(value, Pending)


def plain(value: Any) -> Any:
    """The value as JSON: a ``Pending`` as the text of its expression, a secret by its name."""
    match value:
        case Pending():
            return value.text
        case Secret():
            return {"$secret": value.name}
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
    return value
