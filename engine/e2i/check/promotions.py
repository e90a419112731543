"""Detects failures that could promote a worse model. In: an expanded spec. Out: problems.

A condition of a promotion compares the version with a value. If that value comes from a step that may fail, and a
fallback replaces it, then a mistyped name or an outage makes any model the better one. A fallback of false for one of
several joined conditions is safe: the version is then not promoted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from e2i.check.skips import falls_back_to_false
from e2i.spec import expressions
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import Path, SpecInstance, StepNode
from e2i.spec.problems import Code, Problem
from e2i.spec.references import Reference
from e2i.spec.values import ExpressionError

if TYPE_CHECKING:
    from e2i.check.context import CheckContext

PROMOTIONS = ("mlflow.promote",)
PASSES_ON = ("debug.echo", "debug.sleep", "python.call", "model.select")
"""Actions whose outputs may equal their inputs: a fallback in their parameters has the same effect as theirs."""
At = StepNode | SpecInstance


def check(context: CheckContext) -> Iterator[Problem]:
    """Yields problems of fallbacks that decide a promotion."""
    expanded = context.expanded
    promotions = [node for node in expanded.nodes.values() if node.step.uses in PROMOTIONS]
    if not promotions:
        return
    may_fail = _Failures(expanded)
    for node in promotions:
        yield from _other_champions(expanded, node)
        for unit, path, reference in _deciding(expanded, node):
            if reference.optional and (source := may_fail.of(expanded, unit, reference)):
                message = (
                    f'the promotion "{node.id}" would be decided by a fallback: {reference} is missing when step'
                    f' "{source.id}" fails'
                )
                hint = (
                    "compare with if_better of mlflow.promote: {metric, table, by}, which reads the champion itself;"
                    " or load it with mlflow.load and missing: null, and let an outage fail the run"
                )
                yield unit.document.problem("promotion-by-default", path, message, hint)


def _other_champions(expanded: Expanded, node: StepNode) -> Iterator[Problem]:
    """Yields champions that the conditions load, or compare with, under another name than the version has, where an
    unknown name counts as missing. The name is mistyped, or the comparison is with another model.
    """
    version = [(node, path, ref) for path, ref in node.references if path[2:4] == ("with", "version")]
    own = {name for source in _upstream(expanded, version) if (name := _model(expanded, source, "mlflow.register"))}
    for source in _upstream(expanded, _deciding(expanded, node)) if own else ():
        name = _model(expanded, source, "mlflow.load") or _model(expanded, source, "mlflow.compare")
        lenient = source.step.with_.get("missing", "fail") is None or source.step.with_.get("no_champion") == "better"
        if name is None or name in own or not lenient:
            continue
        path: Path = (*source.path, "with", "name")
        meant = ", ".join(sorted(own))
        message = f'the promotion "{node.id}" is of {meant}, but the champion that decides it is of {name}'
        hint = f"name: {meant}; or compare with if_better of mlflow.promote, which knows the name"
        yield source.document.problem("other-champion", path, message, hint)


def _upstream(expanded: Expanded, references: Iterable[tuple[At, Path, Reference]]) -> Iterator[StepNode]:
    """Yields all steps that the values of references depend on, each once."""
    waiting = [name for unit, _, reference in references for name in expanded.behind(unit, reference).steps]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in seen and name in expanded.nodes:
            seen.add(name)
            yield expanded.nodes[name]
            waiting += expanded.sources(expanded.nodes[name]).steps


def _model(expanded: Expanded, node: StepNode, uses: str) -> str | None:
    """Returns the name of the registered model that a step of that action uses, as far as it is known."""
    if node.step.uses != uses:
        return None
    try:
        name = expanded.resolve(node.step.with_.get("name"), node, {})
    except ExpressionError:  # reported separately
        return None
    return name if isinstance(name, str) else None


def _deciding(expanded: Expanded, node: StepNode) -> Iterator[tuple[At, Path, Reference]]:
    """Yields the references that decide whether a step runs, each with its location: those of its conditions, of the
    conditions of upstream steps, and those that their values depend on.
    """
    waiting: list[tuple[At, Path, Reference]] = []
    reached, upstream = set(), [node]
    while upstream:
        one = upstream.pop()
        if one.id in reached:
            continue
        reached.add(one.id)
        waiting += [(unit, path, ref) for unit in one.chain for path, ref in _in_conditions(unit)]
        required = expanded.sources(one).steps
        upstream += [expanded.nodes[name] for name, needed in required.items() if needed and name in expanded.nodes]
    seen: set[tuple[int, Path, Reference]] = set()
    while waiting:
        unit, path, reference = waiting.pop()
        if (id(unit), path, reference) in seen:
            continue
        seen.add((id(unit), path, reference))
        yield unit, path, reference
        waiting += _made_from(expanded, unit, reference)


def _made_from(expanded: Expanded, unit: At, reference: Reference) -> Iterator[tuple[At, Path, Reference]]:
    """Yields the references behind a value: through parameters and outputs of included specs, and through steps."""
    if reference.root == "params" and reference.path:
        owner = unit.instance.owner
        if owner is not None:
            yield from (
                (owner, path, ref) for path, ref in owner.references if path[2:4] == ("with", reference.path[0])
            )
    if reference.root != "steps" or not reference.path:
        return
    for source in expanded.feeding(unit, str(reference.path[0])):
        if source.inner is not None:
            outputs = source.inner.loaded.spec.outputs
            for path, template in expressions.walk(outputs):
                for ref in template.references if isinstance(template, expressions.Template) else ():
                    yield source.inner, ("outputs", *path), ref
        elif source.step.uses in PASSES_ON:
            yield from ((source, path, ref) for path, ref in source.references if path[2] == "with")


def _in_conditions(unit: StepNode) -> Iterator[tuple[Path, Reference]]:
    """Yields the references of a step's condition, except in conditions that are false when the value is missing."""
    harmless = falls_back_to_false(unit.step.when)
    for path, reference in unit.references:
        if path[2] == "when" and not (reference.optional and reference.parts in harmless):
            yield path, reference


class _Failures:
    """Steps that may end without a result while the run continues, because they or upstream steps may fail."""

    def __init__(self, expanded: Expanded) -> None:
        self._found: dict[str, StepNode | None] = {}
        self._expanded = expanded

    def of(self, expanded: Expanded, unit: At, reference: Reference) -> StepNode | None:
        """Returns the step whose failure leaves the reference without a value."""
        plain = Reference(reference.root, reference.path)
        names = sorted(name for name, needed in expanded.behind(unit, plain).steps.items() if needed)
        return next((found for name in names if (found := self._cause(name, ()))), None)

    def _cause(self, name: str, downstream: tuple[str, ...]) -> StepNode | None:
        if name in downstream or len(downstream) > 900:  # a cycle is reported separately
            return None
        if name not in self._found:
            node = self._expanded.nodes[name]
            required = self._expanded.sources(node).steps
            upstream = sorted(other for other, needed in required.items() if needed and other in self._expanded.nodes)
            own = node if _may_fail(node) else None
            self._found[name] = own or next(
                (found for other in upstream if (found := self._cause(other, (*downstream, name)))), None
            )
        return self._found[name]


def _may_fail(node: StepNode) -> bool:
    return node.options.on_error != "fail" or node.options.on_unavailable != "fail"


CODES = (
    Code(
        "other-champion",
        "A champion of another model",
        "A promotion is decided by a champion that is loaded under another name than the version is registered under. "
        "With `missing: null` a mistyped name counts as no champion, and any model would be promoted.",
        "Use the name of the registered model, or compare with `if_better` of mlflow.promote, which knows the name.",
        "version: 1\nname: example\nsteps:\n  data: {uses: dataset.hcp}\n"
        "  train:\n    uses: model.train\n"
        '    with: {table: "${{ steps.data.journeys }}", target: target, features: [brand]}\n'
        '  new: {uses: mlflow.register, with: {model: "${{ steps.train.model }}", name: model}}\n'
        "  old: {uses: mlflow.load, with: {name: modle, stage: production, missing: null}}\n"
        "  promote:\n    uses: mlflow.promote\n"
        '    when: "${{ steps.old.model is none }}"\n'
        '    with: {version: "${{ steps.new.version }}", stage: production}\n',
        "version: 1\nname: example\nsteps:\n  data: {uses: dataset.hcp}\n"
        "  train:\n    uses: model.train\n"
        '    with: {table: "${{ steps.data.journeys }}", target: target, features: [brand]}\n'
        '  new: {uses: mlflow.register, with: {model: "${{ steps.train.model }}", name: model}}\n'
        "  old: {uses: mlflow.load, with: {name: model, stage: production, missing: null}}\n"
        "  promote:\n    uses: mlflow.promote\n"
        '    when: "${{ steps.old.model is none }}"\n'
        '    with: {version: "${{ steps.new.version }}", stage: production}\n',
    ),
    Code(
        "promotion-by-default",
        "A promotion that depends on a default value",
        "A `default(…)` replaces the result of a step that may fail, and the condition of a promotion uses it. A "
        "mistyped name or an outage then makes any model better than the champion.",
        "Compare with `if_better: {metric, table, by}` of mlflow.promote, which reads the champion itself.",
        "version: 1\nname: example\nsteps:\n  data: {uses: dataset.hcp}\n"
        "  train:\n    uses: model.train\n"
        '    with: {table: "${{ steps.data.journeys }}", target: target, features: [brand]}\n'
        '  new: {uses: mlflow.register, with: {model: "${{ steps.train.model }}", name: m}}\n'
        "  old: {uses: mlflow.load, on_error: continue, with: {name: m, stage: production}}\n"
        "  promote:\n    uses: mlflow.promote\n"
        '    when: "${{ steps.new.version.version > steps.old.version.version | default(0) }}"\n'
        '    with: {version: "${{ steps.new.version }}", stage: production}\n',
        "version: 1\nname: example\nsteps:\n  data: {uses: dataset.hcp}\n"
        '  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}}\n'
        "  train:\n    uses: model.train\n"
        '    with: {table: "${{ steps.split.train }}", target: target, features: [brand]}\n'
        '  new: {uses: mlflow.register, with: {model: "${{ steps.train.model }}", name: m}}\n'
        "  promote:\n    uses: mlflow.promote\n"
        "    with:\n"
        '      version: "${{ steps.new.version }}"\n      stage: production\n'
        '      if_better: {metric: roc_auc, table: "${{ steps.split.test }}"}\n',
    ),
)
