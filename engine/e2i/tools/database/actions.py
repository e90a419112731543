"""Run the actions of ``database``. In: parameters and the step's context. Out: tables, and rows in databases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from e2i.errors import StepError
from e2i.spec.suggest import few, hint, repeated
from e2i.tools.data import contract
from e2i.tools.database import ReadOutputs, ReadParams, WriteOutputs, WriteParams
from e2i.tools.database.connector import Databases
from e2i.tools.database.delivery import Delivery, deliver
from e2i.tools.database.session import Session, Target, unfit

if TYPE_CHECKING:
    import pyarrow as pa

    from e2i.catalog.context import StepContext


def read(params: ReadParams, ctx: StepContext) -> ReadOutputs:
    """Read rows, in batches. Raises StepError for what the database refuses and for a broken contract."""
    with ctx.connect(Databases).opened(params.connection) as session:
        rows = _spooled(_pieces(session, params), ctx.scratch / "rows.arrow")
    return ReadOutputs(table=ctx.table(rows))


def write(params: WriteParams, ctx: StepContext) -> WriteOutputs:
    """Write rows once. Raises StepError naming a column whose values the database would change."""
    content = ctx.arrow(params.table)
    delivery = delivery_of(params)
    with ctx.connect(Databases).opened(params.connection, writes=True) as session:
        written = deliver(session, delivery, content)
    if not written:
        print(f"{params.into} has these rows already")  # in the step's log
    return WriteOutputs(rows=content.num_rows, delivery=delivery.id)


def delivery_of(params: WriteParams) -> Delivery:
    """Return the delivery that a step makes."""
    return Delivery(Target.of(params.into), params.mode, params.key, params.table.digest, params.delivery)


def _pieces(session: Session, params: ReadParams) -> Iterator[pa.Table]:
    promised = dict(params.columns or {})
    query, declared = params.query, promised
    if params.table is not None:
        target = Target.of(params.table)
        query, declared = f"SELECT * FROM {target}", {**session.declared(target), **promised}
    assert query is not None  # the parameters have one
    for piece in session.read(query, params.params, declared):
        if twice := repeated(piece.column_names):
            raise StepError(
                f"the result has duplicate column names: {few(twice)}",
                code="duplicate-column",
                hint="name them in the query, with AS",
            )
        if promised:
            piece = _chosen(piece, promised)
        kept = {
            name: kind
            for name, kind in declared.items()
            if name in promised or (not promised and _is_hidden(piece, name, kind))
        }
        typed = contract.enforce(piece, kept, params.connection)
        for name, kind in kept.items():
            if typed[name].null_count > piece[name].null_count:  # an empty text is no number that is missing
                raise unfit(name, f"has a text that is no {kind}", "correct the type in `columns`, or NULLIF the text")
        yield typed


def _is_hidden(piece: pa.Table, name: str, declared: str) -> bool:
    """Return whether only the database's declaration shows the type of a column, not its values."""
    return declared in ("boolean", "date", "timestamp") or (declared != "" and str(piece[name].type) == "null")


def _chosen(piece: pa.Table, promised: Mapping[str, str]) -> pa.Table:
    for name in promised:
        if name not in piece.column_names:
            raise StepError(
                f'the result has no column "{name}"',
                code="unknown-column",
                hint=hint(name, piece.column_names, most=40),
            )
    return piece.select(list(promised))


def _spooled(pieces: Iterator[pa.Table], path: Path) -> pa.Table:
    """Return all rows, mapped from a file: the result of a query may be larger than the memory."""
    import pyarrow as pa

    first = next(pieces)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, first.schema.remove_metadata()) as writer:
        writer.write_table(first)
        for piece in pieces:
            writer.write_table(piece)
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()
