"""Read many files as one table: a folder, or what a pattern names. In: files, parameters. Out: a table, and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2i.errors import StepError
from e2i.tools.data import files, formats, partitions, texts
from e2i.tools.data.declared import arrow_type
from e2i.tools.data.unclear import UnclearError

if TYPE_CHECKING:
    import pyarrow as pa

    from e2i.tools.data import LoadParams


def read(held: Mapping[str, Path], params: LoadParams) -> files.Loaded:
    """Return the rows of all files, in the order of their paths. Raises StepError when their columns differ."""
    import pyarrow as pa

    names = list(held)
    try:
        keys = partitions.read(names) if params.partitions else {}
    except UnclearError as error:
        raise StepError(error.message, code=error.code, hint=error.hint) from error
    inner = params.model_copy(update=within(params, keys))
    tables: list[Any] = []
    notes: list[str] = []
    for index, (name, path) in enumerate(held.items()):
        loaded = files.read(path, inner.model_copy(update={"path": name}))
        table = loaded.hand_over()
        if tables and table.schema != tables[0].schema:
            raise _differs(name, table, names[0], tables[0])
        notes += [f"{name}: {note}" for note in loaded.notes]
        tables.append(table)
        if params.rows is not None and sum(item.num_rows for item in tables) >= params.rows:
            names = names[: index + 1]
            break
    counts = [table.num_rows for table in tables]
    whole = pa.concat_tables(tables)
    declared = formats.declared({name: getattr(params, name) for name in ("types", "parse_dates", "columns")})
    for key, values in keys.items():
        column = pa.array(
            [value for value, count in zip(values, counts, strict=False) for _ in range(count)], pa.string()
        )
        wanted = declared.get(key, partitions.kind(values))
        what = f"{params.path}: partition {key!r}"
        whole = whole.append_column(
            key, texts.converted(pa.chunked_array([column]), wanted, texts.Marks(nulls=()), what)
        )
    if params.columns is not None:
        whole = whole.select(list(params.columns))
    return files.Loaded(whole.slice(0, params.rows), notes)


def within(params: Any, keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that concern the columns of the files, without those of folders."""
    columns: Sequence[str] | Mapping[str, str] | None = params.columns
    left: Any = columns
    if isinstance(columns, Mapping):
        left = {name: kind for name, kind in columns.items() if name not in keys} or None
    elif columns is not None:
        left = tuple(name for name in columns if name not in keys) or None
    return {"columns": left, "types": {name: kind for name, kind in params.types.items() if name not in keys}}


def key_types(keys: Mapping[str, Sequence[str | None]], declared: Mapping[str, str]) -> dict[str, str]:
    """Return the Arrow type of each column that folders give."""
    return {key: arrow_type(declared.get(key, partitions.kind(values))) for key, values in keys.items()}


def _differs(name: str, table: pa.Table, first: str, expected: pa.Table) -> StepError:
    """Return the error of a file whose columns are not those of the first."""
    one = {field.name: str(field.type) for field in expected.schema}
    other = {field.name: str(field.type) for field in table.schema}
    wrong = next((key for key in [*one, *other] if one.get(key) != other.get(key)), None)
    if wrong is None:
        return StepError(f"{name} has its columns in another order than {first}", code="bad-column", hint=_HINT)
    has = f"is {other[wrong]}" if wrong in other else "is not there"
    before = one.get(wrong, "not there")
    return StepError(f"column {wrong!r} {has} in {name}, but {before} in {first}", code="bad-column", hint=_HINT)


_HINT = "state the types in `columns` or `types`, or load the files by themselves"
