"""Evaluates the expressions of a step or included spec, as far as their values are known.

In: nested data with expressions, outputs so far. Out: values.

A value may pass through the parameters and outputs of many included specs. Each of these is evaluated once, and its
size is bounded, so that a few lines cannot cause unbounded work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from e2i.documents import JsonObject, OutputValues, ParamValues
from e2i.spec import expressions, params
from e2i.spec.expansion import dataflow
from e2i.spec.expansion.nodes import Pending, SpecInstance, StepNode, shown
from e2i.spec.references import ROOTS, Reference, Scope
from e2i.spec.values import Budget, ExpressionError, MissingError

At = StepNode | SpecInstance
Results = Mapping[str, OutputValues | None]
"""Results of finished nodes by id. None for a node without a result, which ``default`` treats as missing."""
_Crossing = tuple[SpecInstance, str | None, bool]
"""A parameter (True) or an output of an included spec. None: all of its outputs."""
READABLE = 200
"""Maximum length of an expression behind a parameter that is kept as text. A longer one is kept as its digest."""


class Evaluation:
    """Evaluates expressions while the outputs do not change. With ``roots``, only references that start with one of
    them.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        run: Mapping[str, str],
        outputs: Results,
        roots: Collection[str] = ROOTS,
        described: dict[_Crossing, str] | None = None,
    ) -> None:
        self.env = env
        self.run = run
        self.outputs = outputs
        self.roots = roots
        self.crossed: dict[_Crossing, Any] = {}
        """Values of the parameters and outputs of included specs that were needed, or why they have none."""
        self.described: dict[_Crossing, str] = {} if described is None else described
        """Descriptions of the expressions behind them, as far as requested."""

    def is_known(self, at: At, reference: Reference) -> bool:
        """Returns True when everything that the reference's value depends on is available."""
        if reference.root not in self.roots:
            return False
        match reference:
            case Reference(root="env" | "secrets"):
                return True
            case Reference(root="steps", path=(str() as name, *_)):
                units = dataflow.feeding(at, name)
                if units and all(unit.inner is None for unit in units):
                    return all(unit.id in self.outputs for unit in units)
        found = dataflow.behind(at, reference)
        return not found.is_open and all(name in self.outputs for name in found.steps) and found.run <= self.run.keys()

    def filled(self, value: Any, at: At) -> Any:
        """Returns the value with every known expression evaluated, and ``Pending`` for the others."""
        if isinstance(value, dict):
            return {key: self.filled(item, at) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item, at) for item in value]
        if not isinstance(value, str) or not expressions.has_expression(value):
            return value
        template = expressions.parse(value)
        if (output := template.output) and "steps" in self.roots and (unit := dataflow.plain_step(at, output[0])):
            if unit.id not in self.outputs:
                return Pending(value, template.references)
            result = self.outputs[unit.id]
            if result is not None and output[1] in result:
                return result[output[1]]
        if all(self.is_known(at, reference) for reference in template.references):
            return expressions.evaluate(template, self._scope(at, template.references))
        return Pending(value, template.references, tuple(self._through(at, template.references)))

    def _value(self, value: Any, at: At) -> Any:
        """Returns the value of an expression behind a known reference, so that its availability is not checked
        again.
        """
        if isinstance(value, dict):
            return {key: self._value(item, at) for key, item in value.items()}
        if isinstance(value, list):
            return [self._value(item, at) for item in value]
        if not isinstance(value, str) or not expressions.has_expression(value):
            return value
        template = expressions.parse(value)
        return expressions.evaluate(template, self._scope(at, template.references))

    def _scope(self, at: At, references: Iterable[Reference]) -> Scope:
        """Returns the names that these references use, with their values."""
        instance = at.instance
        values = instance.params
        steps: JsonObject = {}
        wanted: dict[str, set[str] | None] = {}
        for reference in references:
            if reference.root == "params" and instance.owner:
                values = ParamValues(values | self._given(instance, reference))
            elif reference.root == "steps" and reference.path:
                name = str(reference.path[0])
                output = dataflow.output(reference, one=dataflow.is_one(at, name))
                earlier = wanted.get(name, set())
                wanted[name] = None if output is None or earlier is None else {*earlier, output}
        for name, names in wanted.items():
            found = [(unit, self._result(unit, names)) for unit in dataflow.feeding(at, name)]
            # A combination without a result is not in the list. Only expressions that can do without it come here.
            there = [(unit, result) for unit, result in found if result is not None]
            if not dataflow.is_one(at, name):
                steps[name] = [{"matrix": dict(unit.matrix), "outputs": result} for unit, result in there]
            elif there:
                steps[name] = there[0][1]
        return Scope(params=values, env=self.env, matrix=at.matrix, run=self.run, steps=steps)

    def _given(self, instance: SpecInstance, reference: Reference) -> ParamValues:
        """Returns the parameters of an included spec that are only known in a run, as passed by the including step."""
        owner, found = instance.owner, ParamValues()
        for name in map(str, reference.path[:1] or instance.loaded.spec.params):
            if owner is None or name in instance.params or name not in owner.step.with_:
                continue
            try:
                value = self._crossing(instance, name, owner.step.with_[name], owner)
            except MissingError:
                continue
            declared = instance.loaded.spec.params.get(name)
            wrong = params.check_value(declared, value)[1] if declared else None
            if wrong:
                raise ExpressionError(f'the value of parameter "{name}" of step "{owner.id}" {wrong}')
            found[name] = value
        return found

    def _result(self, unit: StepNode, wanted: set[str] | None) -> OutputValues | None:
        """Returns the result of a step, or the wanted outputs of an included spec. None when there is no result."""
        if unit.inner is None:
            return self.outputs.get(unit.id)
        declared = unit.inner.loaded.spec.outputs
        found = OutputValues()
        for name in declared if wanted is None else wanted & declared.keys():
            try:
                found[name] = self._crossing(unit.inner, name, declared[name], unit.inner)
            except MissingError:
                continue
        was_left_out = not found and all(self.outputs.get(node.id) is None for node in dataflow.leaves(unit))
        return None if was_left_out else found

    def _crossing(self, instance: SpecInstance, name: str, written: Any, at: At) -> Any:
        """Returns the value of a parameter of an included spec (seen from its owner) or of an output (seen from the
        spec).
        """
        key = (instance, name, at is not instance)
        if key not in self.crossed:
            try:
                self.crossed[key] = bounded(self._value(written, at))
            except MissingError:
                raise
            except ExpressionError as error:
                self.crossed[key] = error
        found = self.crossed[key]
        if isinstance(found, ExpressionError):
            raise ExpressionError(found.message, hint=found.hint)
        return found

    def _through(self, at: At, references: Iterable[Reference]) -> Iterator[tuple[str, Any]]:
        """Yields the expressions behind references into or out of included specs, so that a change of them is
        detected.
        """
        for ref in references:
            for key, written, there in _behind(at, ref):
                if key not in self.described:
                    self.described[key] = "…"  # steps that wait for each other are reported as a separate problem
                    static = Evaluation(self.env, {}, {}, described=self.described)
                    self.described[key] = _readable(shown(static.filled(written, there)))
                yield str(ref), self.described[key]


def bounded(value: Any) -> Any:
    """Returns the value if it is not too large to be passed on. Raises ExpressionError."""
    Budget().value(value, opaque=True)
    return value


def _behind(at: At, ref: Reference) -> Iterator[tuple[_Crossing, Any, At]]:
    """Yields what is written for the parameter or output of an included spec in a reference, and its context."""
    instance = at.instance
    name = str(ref.path[0]) if ref.path else ""
    if ref.root == "params" and instance.owner and name in instance.owner.step.with_ and name not in instance.params:
        yield (instance, name, True), instance.owner.step.with_[name], instance.owner
    elif ref.root == "steps":
        inner = next((unit.inner for unit in dataflow.feeding(at, name) if unit.inner), None)
        if inner is not None:
            wanted = dataflow.output(ref, one=dataflow.is_one(at, name))
            declared = inner.loaded.spec.outputs
            yield (inner, wanted, False), declared if wanted is None else declared.get(wanted), inner


def _readable(value: Any) -> str:
    is_plain = isinstance(value, str) and not _AMBIGUOUS.match(value)
    text = value if is_plain else json.dumps(value, sort_keys=True, ensure_ascii=False)
    if len(text) <= READABLE:
        return text
    import hashlib  # imported here, because validate rarely needs it

    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


_AMBIGUOUS = re.compile(r'[\["{\-0-9]|sha256:|(true|false|null|NaN|Infinity)$')
"""Text that could be mistaken for other data, or for a digest, when written in this form."""
