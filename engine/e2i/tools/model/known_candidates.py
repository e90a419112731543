"""Return what is known of candidates while planning, in any form of a spec. In: known parameters. Out: known models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from e2i.catalog.columns import KnownModel


def known_models(candidates: Any) -> Iterator[KnownModel]:
    """Return what is known of each candidate, in any form that a spec allows."""
    listed = candidates if isinstance(candidates, (list, tuple)) else ()  # otherwise the model is unknown, or invalid
    for item in candidates.values() if isinstance(candidates, Mapping) else listed:
        if isinstance(item, Mapping):
            item = item.get("outputs", item)
        found = item.get("model") if isinstance(item, Mapping) else item
        yield found if isinstance(found, KnownModel) else KnownModel()


def common(values: set[Any]) -> Any:
    return next(iter(values)) if len(values) == 1 else None
