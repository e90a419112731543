"""Find added names in parameters, and add them to JSON Schemas. In: parameters, a registry. Out: ``Named`` values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from e2i.catalog import marks
from e2i.catalog.extensible import KEY, Extensible, Named, Source
from e2i.documents import Values


def found(model: type[BaseModel], data: Any, source: Source) -> Iterator[Named]:
    """Yields the added names in parameters."""
    for _, mark, value in marks.found(model, data):
        if isinstance(mark, Extensible) and isinstance(value, str):
            name = mark.look_up(value, source)
            if isinstance(name, Named):
                yield name


def named(model: type[BaseModel], data: Values, source: Source) -> Values:
    """Returns the parameters at the top level that are added names."""
    return {
        steps[0]: name
        for steps, mark in marks.of(model)
        if isinstance(mark, Extensible) and len(steps) == 1 and isinstance(steps[0], str)
        for value in [data.get(steps[0])]
        if isinstance(value, str) and isinstance(name := mark.look_up(value, source), Named)
    }


def widened(schema: Any, source: Source) -> Any:
    """Returns a JSON Schema of parameters with the added names among the choices."""
    if isinstance(schema, list):
        return [widened(item, source) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if KEY not in schema:
        return {key: widened(item, source) for key, item in schema.items()}
    rest = {key: item for key, item in schema.items() if key != KEY}
    return {**rest, "enum": [*rest["enum"], *source.names_in(schema[KEY])]}
