"""Find the action of a step that others refer to and that is not there.

In: references of a spec. Out: the action whose outputs they name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from e2i.catalog.registry import Registry
from e2i.spec import expressions
from e2i.spec.expansion.expanded import Expanded
from e2i.spec.expansion.nodes import SpecInstance
from e2i.spec.expressions import Template
from e2i.spec.references import Reference

USUAL = {"model": "model.train", "repo": "feast.apply", "bento": "bentoml.package", "version": "mlflow.register"}
"""Outputs that several actions have, and the action that is usual."""
Wanted = Mapping[tuple[str, str], Collection[str]]
"""The outputs that references name of steps that are not there, by the prefix of the spec and the id of the step."""


def wanted(expanded: Expanded) -> Wanted:
    """Returns the outputs of missing steps."""
    found: dict[tuple[str, str], set[str]] = {}
    for instance, reference in _references(expanded):
        if reference.root == "steps" and reference.path and str(reference.path[0]) not in instance.units:
            outputs = found.setdefault((instance.prefix, str(reference.path[0])), set())
            outputs.update(str(key) for key in reference.path[1:2])
    return found


def action(name: str, outputs: Collection[str], registry: Registry) -> str | None:
    """Returns the action with these outputs: the one that has the step's name, or the only one, or the usual one."""
    having = [
        uses
        for uses in registry.names()
        if outputs and (known := registry.action(uses)) is not None and known.outputs.model_fields.keys() >= {*outputs}
    ]
    named = [uses for uses in having if _is_named(name, uses)]
    usual = [USUAL[one] for one in outputs if USUAL.get(one) in having]
    return next(iter(named or (having if len(having) == 1 else usual)), None)


def _is_named(name: str, uses: str) -> bool:
    """Returns whether a step's id has a word of an action, such as ``train_final`` of ``model.train``."""
    words = {word.casefold() for word in re.split(r"[_\W]+", name)}
    verb = uses.partition(".")[2]
    return verb in words or not words.isdisjoint(verb.split("_")) or name.casefold().startswith(verb)


def _references(expanded: Expanded) -> Iterator[tuple[SpecInstance, Reference]]:
    for unit in expanded.units():
        for _, reference in unit.references:
            yield unit.instance, reference
    for instance in expanded.instances:
        for _, template in expressions.walk(instance.loaded.spec.outputs):
            for reference in template.references if isinstance(template, Template) else ():
                yield instance, reference
