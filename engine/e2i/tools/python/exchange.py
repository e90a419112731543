"""Pass tables and values to user code and take them back. In: arguments, or a result. Out: the other."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from e2i.catalog.artifacts import Table, holds_artifact
from e2i.catalog.columns import KnownTable, Shapes
from e2i.catalog.shapes import ANY, mismatch
from e2i.errors import StepError
from e2i.spec.suggest import few
from e2i.tools.python.promise import Promise

if TYPE_CHECKING:
    import pyarrow as pa

    from e2i.catalog.context import StepContext

LIBRARIES = ("pandas", "polars", "pyarrow")
HINT = "return a frame, a mapping of frames and plain data, or lists, mappings, strings and numbers"


def argument(value: Any, shapes: Shapes, ctx: StepContext) -> Any:
    """Return an argument with its tables as frames of the annotated library; without an annotation, of pandas.

    Raises StepError when the library is not installed.
    """
    if isinstance(value, Table):
        return _frame(value, next((shape.library for shape in shapes if shape.library), "pandas"), ctx)
    if isinstance(value, Mapping):
        return {key: argument(item, _members(shapes, key), ctx) for key, item in value.items()}
    if isinstance(value, list):
        return [argument(item, _members(shapes, index), ctx) for index, item in enumerate(value)]
    return value


def is_frame(value: Any) -> bool:
    """Return whether a value is a frame of one of the libraries, without importing any."""
    kind = type(value)
    names = {parent.__name__ for parent in kind.__mro__ if parent.__module__.partition(".")[0] in LIBRARIES}
    return not names.isdisjoint(("DataFrame", "LazyFrame", "Table", "RecordBatch"))


def entries(result: Any, promise: Promise | None) -> Mapping[str, Any] | None:
    """Return the entries of a result that become outputs by name; None for a frame or plain data.

    Raises StepError when names were promised and the result has none.
    """
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    if isinstance(result, tuple) and hasattr(result, "_asdict") and (promise is None or promise.named):
        return dict(result._asdict())
    names = [str(name) for name in promise.outputs.inside] if promise is not None and promise.named else []
    if isinstance(result, Mapping):
        by_name = bool(names) or (promise is not None and promise.named) or any(map(is_frame, result.values()))
        if len(names) == 1 and names[0] not in result and promise is not None:
            wanted = promise.outputs.inside[names[0]]
            by_name = not any(shape.type in ("mapping", "any") for shape in wanted)
            return result if by_name else {names[0]: result}
        return result if by_name else None
    if len(names) == 1:
        return {names[0]: result}
    if promise is not None and promise.named:
        wanted_names = f" with {few(names)}" if names else ""
        raise StepError(f"returned {_kind(result)}, not a mapping{wanted_names}", code="bad-result", hint=HINT)
    return None


def output(value: Any, wanted: Shapes, name: str, ctx: StepContext) -> Any:
    """Return a table as a stored one, anything else as plain data. Raises StepError when it is not as promised."""
    what = f"{_kind(value)} as the output {name!r}" if name else _kind(value)
    if is_frame(value):
        try:
            made: Any = ctx.table(_arrow(value))
        except StepError as error:
            raise StepError(f"returned {what}: {error}", code=error.code, hint=error.hint) from error
        if known := next((shape.table for shape in wanted if shape.table is not None), None):
            made = _as_declared(made, known, what, ctx)
    else:
        made = _plain(value, what)
        if name and holds_artifact(made):  # tables are made here; data that only reads as one would pass for it
            raise StepError(f"returned {what}, which reads as an artifact", code="bad-result", hint=HINT)
    if wrong := mismatch(made, wanted):
        where, said = wrong
        inner = f" at {'.'.join(map(str, where))}" if where else ""
        raise StepError(f"returned {what}{inner}, which is not as declared: {said}", code="bad-result", hint=HINT)
    return made


def _members(shapes: Shapes, key: str | int) -> Shapes:
    return next((shape.inside.get(key) or shape.rest or ANY for shape in shapes if shape.inside or shape.rest), ANY)


def _frame(table: Table, library: str, ctx: StepContext) -> Any:
    if library == "pandas":
        return ctx.frame(table).copy(deep=False)
    if library == "pyarrow":
        return ctx.arrow(table)
    if importlib.util.find_spec("polars") is None:
        raise StepError(
            "a parameter is annotated as a frame of polars, which is not installed",
            code="tool-missing",
            hint="install polars, or annotate the parameter as pd.DataFrame or pa.Table",
        )
    import polars as pl

    frame = pl.from_arrow(ctx.arrow(table))
    assert isinstance(frame, pl.DataFrame)
    return frame.lazy() if library == "polars lazy" else frame


def _arrow(frame: Any) -> Any:
    """Return a frame as an Arrow table; a pandas frame as it is."""
    convert: dict[tuple[str, str], Callable[[Any], Any]] = {
        ("polars", "DataFrame"): lambda found: found.to_arrow(),
        ("polars", "LazyFrame"): lambda found: found.collect().to_arrow(),
        ("pyarrow", "RecordBatch"): lambda found: _of_batch(found),
    }
    key = (type(frame).__module__.partition(".")[0], type(frame).__name__)
    return convert[key](frame) if key in convert else frame


def _of_batch(batch: Any) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_batches([batch])


def _as_declared(made: Table, known: KnownTable, what: str, ctx: StepContext) -> Table:
    """Return the table with its columns in the declared order and types. Raises StepError for other columns."""
    for kind, names in (
        ("no", known.columns.keys() - set(made.names)),
        ("also", set(made.names) - known.columns.keys()),
    ):
        if names:
            shown = f"{kind} column{'s' if len(names) > 1 else ''} {few(sorted(names))}"
            raise StepError(
                f"returned {what} with {shown}; declared: {few(list(known.columns))}",
                code="bad-result",
                hint="return the declared columns, or declare others",
            )
    types = {column.name: column.type for column in made.columns}
    if made.names == tuple(known.columns) and all(known.columns[name] in (None, types[name]) for name in types):
        return made
    table = ctx.arrow(made).select(list(known.columns))
    for index, (name, wanted) in enumerate(known.columns.items()):
        if wanted not in (None, types[name]):
            table = table.set_column(index, name, _cast(table[name], str(wanted), f"{what}: column {name!r}"))
    return ctx.table(table)


def _cast(column: Any, wanted: str, what: str) -> Any:
    """Return a column in the declared type, if each of its values has a place in it. Raises StepError."""
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    fitting = {
        "string": pa.types.is_string(kind),
        "int64": is_number,
        "double": is_number,
        "date32[day]": pa.types.is_temporal(kind),
        "timestamp[us, tz=UTC]": pa.types.is_timestamp(kind) or pa.types.is_date(kind),
    }
    target = {"date32[day]": pa.date32(), "timestamp[us, tz=UTC]": pa.timestamp("us", "UTC")}.get(wanted, wanted)
    said = str(kind)
    if pa.types.is_null(kind) or fitting.get(wanted, False):
        try:
            return column.cast(kind).cast(target)
        except pa.ArrowInvalid as error:
            said = f"{kind}: {str(error).partition(chr(10))[0][:200]}"
    raise StepError(f"returned {what} is not {wanted}, but {said}", code="bad-result", hint="correct the declared type")


def _plain(value: Any, what: str) -> Any:
    """Return plain data as JSON has it. Raises StepError for anything else."""
    try:
        return json.loads(json.dumps(value, allow_nan=False, default=_number))
    except (TypeError, ValueError, RecursionError) as error:
        hint = "turn the series into a frame by .to_frame()" if _kind(value) == "Series" else HINT
        if isinstance(value, list | tuple) and any(map(is_frame, value)):
            hint = "return the frames as a mapping by name"
        raise StepError(
            f"returned {what}, which is neither a DataFrame nor plain data: {error}",
            code="bad-result",
            hint=hint,
        ) from error


def _number(value: Any) -> Any:
    """Return a value of NumPy as plain data."""
    if type(value).__module__ == "numpy":
        return value.tolist()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _kind(value: Any) -> str:
    return type(value).__name__
