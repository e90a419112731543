"""Explain what is wrong with settings. In: pydantic's error and the model. Out: a sentence and a hint.

The value itself is never shown: it may be a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from e2i.spec.suggest import few, hint


def explained(error: ValidationError, model: type[BaseModel]) -> tuple[str, str | None]:
    """Returns the first error with its path, and a hint for a misspelled name. This comes before a missing one."""
    found = error.errors(include_url=False, include_input=False)
    detail = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    path = [str(part) for part in detail["loc"]]
    where = ".".join(path)
    if detail["type"] != "extra_forbidden":
        message = str(detail["msg"]).removeprefix("Value error, ")
        return (f"{where}: {message}" if where else message), None
    known = _names(model, path[:-1])
    return f"{where}: unknown setting", hint(path[-1], known) or f"settings: {few(known, 20)}"


def _names(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Returns the settings that are known below a path, whose parts are also keys of mappings, indexes and tags."""
    models = [model]
    for part in path:
        inner = [found for one in models if part in one.model_fields for found in _models(one.model_fields[part])]
        models = inner or models
    return sorted({name for one in models for name in one.model_fields})


def _models(field: Any) -> Iterator[type[BaseModel]]:
    """Yields the models in the type of a field."""
    waiting = [getattr(field, "annotation", None)]
    for kind in waiting:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind
        waiting.extend(get_args(kind))
