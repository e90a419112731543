"""Read columns from folders' names, as Hive writes them: ``year=2024/part-0.parquet``. In: paths. Out: columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from e2i.tools.data.unclear import UnclearError

MISSING = "__HIVE_DEFAULT_PARTITION__"
INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")


def read(names: Sequence[str]) -> dict[str, list[str | None]]:
    """Return each key with its text in each file, null where it is missing. Raises UnclearError when keys differ."""
    found = [_keys(name) for name in names]
    for name, keys in zip(names, found, strict=True):
        if list(keys) != list(found[0]):
            raise UnclearError(
                f"{name} is in other partitions than {names[0]}", "keep files of one depth, or set `partitions: null`"
            )
    return {key: [keys[key] for keys in found] for key in (found[0] if found else ())}


def kind(values: Sequence[str | None]) -> str:
    """Return the type of a key: integer if every value is one in its shortest form, else string."""
    present = [value for value in values if value is not None]
    return "integer" if present and all(INTEGER.fullmatch(value) for value in present) else "string"


def _keys(name: str) -> dict[str, str | None]:
    keys: dict[str, str | None] = {}
    for part in name.split("/")[:-1]:
        key, equals, value = part.partition("=")
        if equals and key:
            keys[unquote(key)] = None if value == MISSING else unquote(value)
    return keys
