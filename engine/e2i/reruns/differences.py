"""Compare the outputs of a step with recorded ones: values, tables by column and row, other artifacts by file.

In: two outputs, and the store that has the artifacts of both. Out: ``Difference``s. Where a tool has put an artifact
does not count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i.catalog.artifacts import ARTIFACTS
from e2i.documents import OutputValues
from e2i.reruns.results import Difference
from e2i.store.artifacts import ArtifactStore
from e2i.testing.tables import short
from e2i.workers import tables

if TYPE_CHECKING:
    import pyarrow as pa

PASSING = ("digest", "uri", "run", "pid", "url")
"""Facts of an artifact that do not belong to its content."""
MOST = 20
"""Limit on the differences of a step that are listed."""


def differences(old: OutputValues, new: OutputValues, store: ArtifactStore) -> list[Difference]:
    """Returns the differences between two outputs of a step, the first ones."""
    found: list[Difference] = []
    for one in _values(old, new, "", store):
        found.append(one)
        if len(found) == MOST:
            break
    return found


def _values(old: Any, new: Any, where: str, store: ArtifactStore) -> Iterator[Difference]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        is_artifact = new.get("type") in ARTIFACTS and "digest" in new and "digest" in old
        if is_artifact:
            if old["digest"] == new["digest"]:
                return
            if new["type"] == "table" == old["type"]:
                yield from _tables(old, new, where, store)
                return
            yield from _files(where, store.path(old["digest"]), store.path(new["digest"]))
        for key in dict.fromkeys((*old, *new)):
            if is_artifact and key in PASSING:
                continue
            at = f"{where}.{key}" if where else str(key)
            yield from _values(old.get(key), new.get(key), at, store)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _values(one, other, f"{where}[{index}]", store)
    elif not _equal(old, new):
        yield Difference(where=where, what="value", detail=f"{short(old)} then, {short(new)} now")


def _equal(old: Any, new: Any) -> bool:
    return bool(old == new and type(old) is type(new)) or (old != old and new != new)


def _tables(old: Mapping[str, Any], new: Mapping[str, Any], where: str, store: ArtifactStore) -> Iterator[Difference]:
    earlier, later = tables.read(store.path(old["digest"])), tables.read(store.path(new["digest"]))
    if earlier.column_names != later.column_names:
        detail = f"columns {', '.join(earlier.column_names)} then, {', '.join(later.column_names)} now"
        yield Difference(where=where, what="column", detail=detail)
        return
    for name in earlier.column_names:
        kinds = earlier.schema.field(name).type, later.schema.field(name).type
        if kinds[0] != kinds[1]:
            yield Difference(where=f"{where}.{name}", what="type", detail=f"{kinds[0]} then, {kinds[1]} now")
    if earlier.num_rows != later.num_rows:
        yield Difference(where=where, what="rows", detail=f"{earlier.num_rows:,} rows then, {later.num_rows:,} now")
        return
    changed = [name for name in earlier.column_names if not earlier.column(name).equals(later.column(name))]
    if changed and _is_reordered(earlier, later):
        yield Difference(where=where, what="rows", detail="the same rows in another order")
        return
    for name in changed:
        yield _column(earlier.column(name), later.column(name), f"{where}.{name}")


def _is_reordered(earlier: pa.Table, later: pa.Table) -> bool:
    """Returns whether two tables have the same rows, in whatever order."""
    if earlier.schema != later.schema:
        return False
    counts: list[dict[str, int]] = []
    for table in (earlier, later):
        count: dict[str, int] = {}
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            count[repr(row)] = count.get(repr(row), 0) + 1
        counts.append(count)
    return counts[0] == counts[1]


def _column(earlier: Any, later: Any, where: str) -> Difference:
    pairs = list(enumerate(zip(earlier.to_pylist(), later.to_pylist(), strict=True), 1))
    rows = [(row, one, other) for row, (one, other) in pairs if not _equal(one, other)]
    if not rows:
        return Difference(where=where, what="column", detail="other bytes for equal values")
    row, one, other = rows[0]
    detail = f"{len(rows):,} of {len(pairs):,} rows; row {row}: {short(one)} then, {short(other)} now"
    return Difference(where=where, what="column", detail=detail)


def _files(where: str, earlier: Path, later: Path) -> Iterator[Difference]:
    """Yields the files of two artifacts that differ."""
    old, new = _digests(earlier), _digests(later)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            missing = "is new" if name not in old else "is missing" if name not in new else "has other bytes"
            yield Difference(where=where, what="file", detail=f"{name or 'it'} {missing}")


def _digests(path: Path) -> dict[str, str]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {
        file.relative_to(path).as_posix() if file != path else "": hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file()
    }
