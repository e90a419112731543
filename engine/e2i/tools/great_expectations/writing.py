"""Write suites of programs. In: expectations as mappings. Out: a suite, and its file in the workspace.

A program may write the arguments under ``kwargs``, as Great Expectations' own files have them, or beside ``type``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from e2i import regular
from e2i.errors import BadInput
from e2i.tools.great_expectations.suite import Suite, canonical, flattened, is_foreign, path_of, read


def suite_of(name: str, expectations: Iterable[Mapping[str, Any]]) -> Suite:
    """Return the suite. Raises BadInput naming every expectation that is wrong, Refused for one that executes code."""
    return read(text_of(name, expectations), name, is_written=False)


def check(text: bytes, name: str) -> None:
    """Raise BadInput or Refused for the content of a suite's file that no table could be validated against."""
    from e2i.tools.great_expectations.validation import built, library

    suite = read(text, name, is_written=False)
    library()
    built(suite, lambda _column: None)


def text_of(name: str, expectations: Iterable[Mapping[str, Any]], description: str | None = None) -> bytes:
    """Return the content of the suite's file, as specs read it."""
    items = [_flat(item, index) for index, item in enumerate(expectations)]
    document = {"name": name, **({"description": description} if description else {}), "expectations": items}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120).encode()


def write(workspace: Path, name: str, text: bytes) -> Path:
    """Write a suite's file atomically, and return its path."""
    path = workspace / path_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    regular.write(path, text)
    return path


def _flat(given: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Return an expectation in the form of specs."""
    if not isinstance(given, Mapping):
        raise BadInput(
            f"expectation {index + 1} is {given!r:.80}, not a mapping",
            code="bad-expectation",
            hint='write {"type": NAME, "kwargs": {…}}, or {"type": NAME, "column": …}',
        )
    item = {str(key): _plain(value, index) for key, value in given.items()}
    meta = item.pop("meta", None)
    if isinstance(meta, dict) and (notes := meta.pop("notes", None)):
        item["notes"] = "\n".join(notes) if isinstance(notes, list) else notes
    if meta:
        item["meta"] = meta
    if is_foreign(item):
        return flattened(item) or _opened(item)
    return {**item, "type": canonical(item.get("type"))}


def _opened(item: dict[str, Any]) -> dict[str, Any]:
    """Return an expectation that has an unknown name in the form of specs, so that the name is what is reported."""
    kwargs = item.pop("kwargs", {})
    name = item.pop("expectation_type", item.get("type"))
    return {**item, "type": name, **(kwargs if isinstance(kwargs, dict) else {"kwargs": kwargs})}


def _plain(value: Any, index: int) -> Any:
    """Return a value as YAML has it. Times become ISO 8601 text, which is compared as a time."""
    match value:
        case None | bool() | str():
            return value if not isinstance(value, str) else str(value)
        case int() | float():
            return value
        case date() | time():
            return value.isoformat()
        case Decimal():
            return str(value)
        case Mapping():
            return {str(key): _plain(item, index) for key, item in value.items()}
        case set() | frozenset():
            return [_plain(item, index) for item in sorted(value, key=lambda item: (str(type(item)), item))]
        case list() | tuple() | range():
            return [_plain(item, index) for item in value]
    if callable(convert := getattr(value, "tolist", None)):  # NumPy's scalars and arrays
        return _plain(convert(), index)
    if callable(convert := getattr(value, "dict", None)):  # a condition of Great Expectations
        return _plain(convert(), index)
    raise BadInput(
        f"expectation {index + 1} has {value!r:.80}, which a suite cannot hold",
        code="bad-expectation",
        hint="use texts, numbers, truth values, times, lists and mappings",
    )
