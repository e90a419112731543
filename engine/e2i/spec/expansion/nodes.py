"""An expanded pipeline: ``SpecInstance``s, the ``StepNode``s in them, and values that are still ``Pending``.

In: a spec, parameter values. Out: data for ``expanded``. This module looks nothing up.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from msgspec import Struct, field

from e2i.documents import ParamValues, Values
from e2i.spec import expressions
from e2i.spec.document import Document
from e2i.spec.expansion.matrix import Combination
from e2i.spec.load import Held, LoadedSpec
from e2i.spec.models import StepOptions, StepSpec
from e2i.spec.references import Reference
from e2i.spec.values import Secret

Path = tuple[str | int, ...]
SCALAR = (str, int, float, type(None))
"""The most common types of values, which are tested first."""


class Pending(Struct, frozen=True):
    """Placeholder for a value that is not known yet: the text of its expression, and its references.

    ``through`` are the expressions behind it, by reference: those of an included spec's parameters or outputs.
    """

    text: str
    references: tuple[Reference, ...]
    through: tuple[tuple[str, Any], ...] = ()


class SpecInstance(Struct, eq=False):
    """A spec in use: the pipeline itself, or a spec included by a step. ``expand`` fills it."""

    loaded: LoadedSpec
    owner: StepNode | None = None
    """The step that includes this spec. None for the pipeline."""
    params: ParamValues = field(default_factory=ParamValues)
    """Known values. A declared parameter that is missing here comes from the owner's ``with``, or has no value."""
    waiting: set[str] = field(default_factory=set)
    """Parameters whose values are only known in a run."""
    unusable: set[str] = field(default_factory=set)
    """Parameters with an invalid value, which is reported as a separate problem."""
    units: dict[str, tuple[StepNode, ...]] = field(default_factory=dict)
    """The nodes of each step, also of ``finally``: one, or one for each combination."""
    combinations: dict[str, dict[tuple[str, ...], dict[tuple[str, ...], StepNode]]] = field(default_factory=dict)
    """For each step with a matrix: its nodes by their distinguishing names, then by the values of those names."""

    @property
    def instance(self) -> SpecInstance:
        return self

    @property
    def combination(self) -> None:
        """The outputs of an included spec see no matrix."""

    @property
    def matrix(self) -> Values:
        return {}

    @property
    def prefix(self) -> str:
        """Prefix of the ids of its nodes."""
        return f"{self.owner.id}/" if self.owner else ""

    @property
    def document(self) -> Document:
        return self.loaded.document


class StepNode(Struct, frozen=True, eq=False, dict=True):
    """One step to execute: a step of the spec, or one combination of a matrix step (``id`` is then
    ``train[XGBoost]``).

    A step of an included spec is ``prep/load``. A step that includes a spec is a node too, but is not executed itself:
    ``inner`` is the included spec.
    """

    id: str
    group: str
    """The id without the combination, which all combinations of a step have in common."""
    combination: Combination | None
    step: StepSpec
    options: StepOptions
    instance: SpecInstance
    """The spec instance that contains it."""
    section: str = "steps"
    references: Held = ()
    """Every reference in ``with`` and ``when``, with the path of the text that contains it."""
    inner: SpecInstance | None = None

    @property
    def name(self) -> str:
        """The step's key in its file."""
        return self.group.removeprefix(self.instance.prefix)

    @property
    def matrix(self) -> Values:
        """The values of its combination; none without a matrix."""
        return self.combination.values if self.combination else {}

    @property
    def path(self) -> Path:
        """The path of the step in its file."""
        return (self.section, self.name)

    @property
    def document(self) -> Document:
        return self.instance.document

    @cached_property
    def chain(self) -> tuple[StepNode, ...]:
        """The steps that include it, outermost first, and the node itself."""
        return (*self.instance.owner.chain, self) if self.instance.owner else (self,)

    @cached_property
    def final(self) -> bool:
        """True when it runs after all others, whatever their status."""
        return any(node.section == "finally" for node in self.chain)

    @cached_property
    def is_plain(self) -> bool:
        """True when its parameters have no expression."""
        return self.instance.loaded.is_plain(self.section, self.name)

    @property
    def agent(self) -> str | None:
        """The agent role it acts for: its own, or that of the nearest including step."""
        return next((node.step.agent for node in reversed(self.chain) if node.step.agent), None)

    @property
    def labels(self) -> frozenset[str]:
        """Names by which ``--select`` can select it."""
        around = {label for node in self.chain for label in (node.id, node.group)}
        return frozenset(around | {f"tag:{tag}" for node in self.chain for tag in node.step.tags})

    @property
    def condition(self) -> str:
        """Its own ``when`` as written."""
        return str(self.step.when).lower() if isinstance(self.step.when, bool) else self.step.when

    @property
    def is_conditional(self) -> bool:
        """True when its ``when``, or that of an including step, may skip it."""
        return any(node.step.when is not True and not _is_plain(node.step.when) for node in self.chain)


def _is_plain(when: bool | str) -> bool:
    """Returns True for a condition that is plain text, which is reported as a problem of its own."""
    return isinstance(when, str) and not expressions.has_expression(when)


MARKS = ("$expression", "$secret")
"""Keys with which ``plain`` writes values that are not data."""


def is_settled(value: Any) -> bool:
    """Returns True when nothing in the value is ``Pending``."""
    if isinstance(value, SCALAR):
        return True
    if isinstance(value, dict):
        return all(map(is_settled, value.values()))
    if isinstance(value, list):
        return all(map(is_settled, value))
    return not isinstance(value, Pending)


def holds_secret(value: Any) -> bool:
    """Returns True when the value contains a secret."""
    if isinstance(value, dict):
        return any(map(holds_secret, value.values()))
    if isinstance(value, list):
        return any(map(holds_secret, value))
    return isinstance(value, Secret)


def plain(value: Any) -> Any:
    """Returns the value as JSON: a ``Pending`` as the text of its expression, a secret as its name."""
    if isinstance(value, SCALAR):
        return value
    match value:
        case Pending(through=()):
            return expressions.normal(value.text)
        case Pending():
            return {"$expression": expressions.normal(value.text), "$through": dict(value.through)}
        case Secret():
            return {"$secret": value.name}
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
    return value


def shown(value: Any) -> Any:
    """Returns the value as a plan shows it: like ``plain``, but text that only looks like an expression, and data that
    only looks like an expression or a secret, are escaped.
    """
    match value:
        case str():
            return value.replace("${{", "$${{") if "${{" in value else value
        case dict():
            return {f"${key}" if key in MARKS else key: shown(item) for key, item in value.items()}
        case list():
            return [shown(item) for item in value]
    return plain(value)
