"""Snapshots of outputs: ``NAME.snapshots.json`` beside ``NAME.test.yaml``.

In: values of outputs. Out: the lines that say where they differ. ``write`` accepts the new values.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i import regular
from e2i.catalog.artifacts import ARTIFACTS
from e2i.errors import BadInput, Refused, StepError
from e2i.testing import tables
from e2i.testing.models import Row
from e2i.testing.named import NamedFiles

if TYPE_CHECKING:
    from e2i.store.artifacts import ArtifactStore

MOST_ROWS = 2_000
"""Limit on the rows of a table in a snapshot. A larger one should be reduced by a step."""
DEEPEST = 100
"""Limit on the levels of a file of snapshots."""
MOST_LINES = 12
ACCEPTED = "e2i test --update accepts the new value"


class Snapshots:
    """The snapshots of one test file. ``update``: new values replace old ones."""

    def __init__(self, test_file: Path, files: NamedFiles, *, update: bool) -> None:
        stem = test_file.name.partition(".test.")[0]
        self.path = test_file.with_name(f"{stem}.snapshots.json")
        self._files = files
        self._update = update
        self._kept = self._read()
        self._seen: dict[str, Row] = {}

    def _read(self) -> dict[str, Row]:
        if not os.path.lexists(self.path):
            return {}
        try:
            return _cases(json.loads(self._files.read(self.path.name)))
        except (OSError, ValueError, RecursionError, Refused, StepError) as error:
            why = f": {error.message}" if isinstance(error, Refused | StepError) else ""
            hint = "remove it, and write it again: e2i test --update"
            raise BadInput(f"{self.path} is not a file of snapshots{why}", code="bad-snapshot", hint=hint) from error

    def compare(self, case: str, name: str, value: Any, store: ArtifactStore, tolerance: float) -> list[str]:
        """Returns lines that say where a value differs from its snapshot, and what to do; none with ``update``.

        A table that is too large for a snapshot differs from each. Raises BadInput for one that is to be written.
        """
        try:
            found = simplified(value, store)
        except BadInput as error:
            if self._update:
                raise
            return [error.message, error.hint or ""]
        if self._update:
            self._seen.setdefault(case, {})[name] = found
            return []
        kept = self._kept.get(case, {})
        if name not in kept:
            return ["there is no snapshot of it", ACCEPTED]
        lines = list(differences(kept[name], found, tolerance))[:MOST_LINES]
        return [*lines, ACCEPTED] if lines else []

    def write(self, selected: Collection[str], names: Collection[str]) -> Path | None:
        """Writes the snapshots of the ``selected`` cases that have run. Snapshots of cases that are not among
        ``names`` any more are dropped. Returns the file, if it has changed.
        """
        kept = {case: held for case, held in self._kept.items() if case in names and case not in selected}
        new = {case: (kept | self._seen)[case] for case in sorted({*kept, *self._seen})}
        if new == self._kept or (not new and not self._kept):
            return None
        if not new:
            self.path.unlink(missing_ok=True)
            return self.path
        text = json.dumps({"schema_version": 1, "cases": new}, indent=1, sort_keys=True, ensure_ascii=False)
        regular.write(self.path, (text + "\n").encode())
        return self.path


def _cases(found: Any) -> dict[str, Row]:
    """Returns the snapshots by case. Raises ValueError when they have another shape."""
    cases = found.get("cases", {}) if isinstance(found, dict) else None
    if not isinstance(cases, dict) or not all(isinstance(case, dict) for case in cases.values()):
        raise ValueError("cases are mappings")
    level: list[Any] = [cases]
    for _ in range(DEEPEST):
        below = [item.values() if isinstance(item, dict) else item for item in level]
        level = [inner for items in below for inner in items if isinstance(inner, dict | list)]
        if not level:
            return cases
    raise ValueError("a value is nested too deeply")


def _is_table(kept: Row) -> bool:
    """Returns whether what looks like a table has columns, and rows of as many values."""
    columns, rows = kept["columns"], kept["rows"]
    return (
        isinstance(columns, dict)
        and isinstance(rows, list)
        and all(isinstance(row, list) and len(row) == len(columns) for row in rows)
    )


def simplified(value: Any, store: ArtifactStore) -> Any:
    """Returns a value as it is kept: tables with their rows, other artifacts without what is different each time."""
    if isinstance(value, list):
        return [simplified(item, store) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "table" and "digest" in value:
        return _table(value, store)
    if value.get("type") in ARTIFACTS and "digest" in value:
        return {key: item for key, item in value.items() if key not in ("digest", "uri", "run", "pid", "url", "bytes")}
    return {key: simplified(item, store) for key, item in value.items()}


def _table(value: Row, store: ArtifactStore) -> Row:
    from e2i.workers import tables as stored

    if value["rows"] > MOST_ROWS:
        message = f"a snapshot of a table has at most {MOST_ROWS:,} rows, this one has {value['rows']:,}"
        raise BadInput(message, code="bad-snapshot", hint="take a smaller table, or write the expectation under holds:")
    content = stored.read(store.path(value["digest"]))
    columns = {field.name: str(field.type) for field in content.schema}
    rows = [[_cell(item) for item in row.values()] for row in content.to_pylist()]
    return {"columns": columns, "rows": rows}


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool | list | dict) else tables.plain(value)


def differences(kept: Any, found: Any, tolerance: float, where: str = "") -> list[str]:
    """Returns lines that say where two values differ."""
    if isinstance(kept, dict) and isinstance(found, dict):
        if kept.keys() == found.keys() == {"columns", "rows"}:
            return _rows(kept, found, tolerance)
        lines = []
        for key in dict.fromkeys([*kept, *found]):
            at = f"{where}.{key}" if where else str(key)
            if key not in found:
                lines.append(f"- {at}: {tables.short(kept[key])}")
            elif key not in kept:
                lines.append(f"+ {at}: {tables.short(found[key])}")
            else:
                lines += differences(kept[key], found[key], tolerance, at)
        return lines
    if isinstance(kept, list) and isinstance(found, list) and len(kept) == len(found):
        pairs = enumerate(zip(kept, found, strict=True))
        return [line for i, (one, two) in pairs for line in differences(one, two, tolerance, f"{where}[{i}]")]
    if tables.equal(kept, found, tolerance):
        return []
    return [f"{where or 'value'}: expected {tables.short(kept)}, is {tables.short(found)}"]


def _rows(kept: Row, found: Row, tolerance: float) -> list[str]:
    if not _is_table(kept) or not _is_table(found):
        return [] if kept == found else ["the snapshot is not a table with columns and rows"]
    if kept["columns"] != found["columns"]:
        return differences({"columns": dict(kept["columns"])}, {"columns": dict(found["columns"])}, tolerance)
    names = list(kept["columns"])
    lines = []
    if len(kept["rows"]) != len(found["rows"]):
        lines.append(f"{len(found['rows'])} rows instead of {len(kept['rows'])}")
    cells = [
        (f"row {index + 1}", name, one[column], two[column])
        for index, (one, two) in enumerate(zip(kept["rows"], found["rows"], strict=False))
        for column, name in enumerate(names)
        if not tables.equal(one[column], two[column], tolerance)
    ]
    return lines + tables.grid(cells)
