"""An expanded pipeline: ``SpecInstance``s, the ``StepNode``s in them, and values that are still ``Pending``.

In: a spec, parameter values. Out: data for ``expanded``; nothing here looks anything up.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from msgspec import Struct, field

from e2i.spec import expressions
from e2i.spec.document import Document
from e2i.spec.expansion import matrix
from e2i.spec.load import Held, LoadedSpec
from e2i.spec.models import StepOptions, StepSpec
from e2i.spec.references import Reference
from e2i.spec.values import Secret

Path = tuple[str | int, ...]
SCALAR = (str, int, float, type(None))
"""What most values are; they are told from the others first."""


class Pending(Struct, frozen=True):
    """The place of a value that is not known yet: the text of its expression, and what that refers to.

    ``through`` are the expressions behind it, by reference: what a part's parameters or outputs stand for.
    """

    text: str
    references: tuple[Reference, ...]
    through: tuple[tuple[str, Any], ...] = ()


class SpecInstance(Struct, eq=False):
    """A spec in use: the pipeline itself, or a part at the place where a step includes it. ``expand`` fills it."""

    loaded: LoadedSpec
    owner: StepNode | None = None
    """The step that includes it; None for the pipeline."""
    params: dict[str, Any] = field(default_factory=dict)
    """The values that are known. What is declared and not here is given by the owner's ``with``, or by nobody."""
    waiting: set[str] = field(default_factory=set)
    """The parameters whose values only a run can tell."""
    unusable: set[str] = field(default_factory=set)
    """The parameters that are given something they do not take, which is a problem of its own."""
    units: dict[str, tuple[StepNode, ...]] = field(default_factory=dict)
    """The nodes of each step, ``finally`` too: one, or one for each combination."""
    combinations: dict[str, dict[tuple[str, ...], dict[tuple[str, ...], StepNode]]] = field(default_factory=dict)
    """Of each step with a matrix: its nodes by the names that tell them apart, then by those names' values."""

    @property
    def instance(self) -> SpecInstance:
        return self

    @property
    def combination(self) -> None:
        """A part's outputs see no matrix."""

    @property
    def prefix(self) -> str:
        """What the ids of its nodes start with."""
        return f"{self.owner.id}/" if self.owner else ""

    @property
    def document(self) -> Document:
        return self.loaded.document


class StepNode(Struct, frozen=True, eq=False, dict=True):
    """One step to carry out: a step of the spec, or one combination of a matrix step (``id`` is then
    ``train[XGBoost]``).

    A step of a part is ``prep/load``. A step that includes a part is a node too, but not one to carry out: ``inner``
    is the part.
    """

    id: str
    group: str
    """The id without the combination: what all combinations of a step have in common."""
    combination: Mapping[str, Any] | None
    step: StepSpec
    options: StepOptions
    instance: SpecInstance
    """The spec that it stands in."""
    section: str = "steps"
    references: Held = ()
    """Every reference in ``with`` and ``when``, with the path of the text that holds it."""
    names: tuple[str, ...] = ()
    """The names in ``combination`` by which it is paired with combinations of other steps."""
    inner: SpecInstance | None = None

    @property
    def name(self) -> str:
        """The step's key in its file."""
        return self.group.removeprefix(self.instance.prefix)

    @property
    def path(self) -> Path:
        """Where the step stands in its file."""
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
        """True when it runs after all others, whatever became of them."""
        return any(node.section == "finally" for node in self.chain)

    @cached_property
    def is_plain(self) -> bool:
        """Whether its parameters hold no expression."""
        return self.instance.loaded.is_plain(self.section, self.name)

    @property
    def agent(self) -> str | None:
        """The agent role it acts for: its own, or that of the nearest step around it."""
        return next((node.step.agent for node in reversed(self.chain) if node.step.agent), None)

    @property
    def labels(self) -> frozenset[str]:
        """What ``--select`` may call it."""
        around = {label for node in self.chain for label in (node.id, node.group)}
        return frozenset(around | {f"tag:{tag}" for node in self.chain for tag in node.step.tags})

    @property
    def condition(self) -> str:
        """Its own ``when`` as it is written."""
        return str(self.step.when).lower() if isinstance(self.step.when, bool) else self.step.when

    @property
    def is_conditional(self) -> bool:
        """True when its ``when``, or that of a step around it, may leave it out."""
        return any(node.step.when is not True for node in self.chain)


def pairing(combination: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, ...]:
    """What a combination is found by."""
    return tuple(matrix.key(combination[name]) for name in names)


MARKS = ("$expression", "$secret")
"""Keys by which ``plain`` writes what is no data."""


def is_settled(value: Any) -> bool:
    """True when nothing in the value is ``Pending``."""
    if isinstance(value, SCALAR):
        return True
    if isinstance(value, dict):
        return all(map(is_settled, value.values()))
    if isinstance(value, list):
        return all(map(is_settled, value))
    return not isinstance(value, Pending)


def holds_secret(value: Any) -> bool:
    """True when a secret is somewhere in the value."""
    if isinstance(value, dict):
        return any(map(holds_secret, value.values()))
    if isinstance(value, list):
        return any(map(holds_secret, value))
    return isinstance(value, Secret)


def plain(value: Any) -> Any:
    """The value as JSON: a ``Pending`` as the text of its expression, a secret by its name."""
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
    """The value as a plan shows it: as ``plain`` does, but text that only looks like an expression, and data that only
    looks like one or like a secret, as no expression and no secret is written.
    """
    match value:
        case str():
            return value.replace("${{", "$${{") if "${{" in value else value
        case dict():
            return {f"${key}" if key in MARKS else key: shown(item) for key, item in value.items()}
        case list():
            return [shown(item) for item in value]
    return plain(value)
