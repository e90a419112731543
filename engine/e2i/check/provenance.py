"""Checks that the artifacts passed to a step come from steps. In: parameters, and outputs of steps. Out: forged ones.

An artifact is plain data with a digest, so a spec, or data from a user's function, could contain a forged one: a
service on another machine, a table of another project. Only an artifact that an action returned in an output of that
type counts.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from e2i.catalog.action import Action
from e2i.catalog.artifacts import ARTIFACTS
from e2i.documents import OutputValues
from e2i.spec.expansion.nodes import SCALAR

Path = tuple[str | int, ...]


def forged(params: Any, genuine: Collection[str]) -> Iterator[Path]:
    """Yields the locations of artifacts among the parameters that no step produced."""
    return (path for path, artifact in _artifacts(params, ()) if artifact not in genuine)


def made(action: Action | None, outputs: OutputValues) -> set[str]:
    """Returns the artifacts that an action produced, as texts to compare, without those it only passes on as any."""
    fields = action.outputs.model_fields if action else {}
    typed = {
        name: value
        for name, value in outputs.items()
        if not isinstance(value, SCALAR) and name in fields and fields[name].annotation is not Any
    }
    return {artifact for _, artifact in _artifacts(typed, ())}


def _artifacts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, SCALAR):
        return
    if isinstance(value, Mapping):
        if isinstance(value.get("type"), str) and value["type"] in ARTIFACTS and "digest" in value:
            yield path, json.dumps(value, sort_keys=True, default=str)
            return
        for key, item in value.items():
            yield from _artifacts(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _artifacts(item, (*path, index))
