"""Deliver rows to a table exactly once: in one transaction with the key of the delivery.

In: a session, a delivery, Arrow rows. Out: rows in the table, and one row in ``e2i_deliveries`` beside it. A delivery
that is cut short has written nothing, and one that is repeated finds its key and writes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, json

from e2i.errors import StepError
from e2i.spec.suggest import few, repeated
from e2i.tools.database.session import STAGE, Asked, Session, Target, listed, quoted

if TYPE_CHECKING:
    import pyarrow as pa

TRIES = 3
"""How often rows are staged for a table that changes meanwhile."""
DELIVERIES = "e2i_deliveries"
SHAPE = "target text, delivery text, mode text, row_count bigint, sequence bigint, PRIMARY KEY (target, delivery)"


class Delivery(Struct, frozen=True):
    """Rows to be in a table, as ``mode`` says."""

    target: Target
    mode: str
    key: tuple[str, ...]
    digest: str
    """The digest of the rows."""
    name: str | None = None

    @property
    def id(self) -> str:
        """The key of the delivery: equal for equal rows, whichever run and process delivers them."""
        parts = json.encode([self.mode, self.key, self.digest, self.name])
        return hashlib.sha256(parts).hexdigest()[:32]


def missing(session: Asked, delivery: Delivery) -> str | None:
    """Return what is missing of a delivery; None when it is in the table."""
    if session.columns(delivery.target) is None:
        return f"there is no table {delivery.target}"
    if not _is_delivered(session, delivery):
        return f"the table {delivery.target} does not have the delivery, or others came later"
    return None


def deliver(session: Session, delivery: Delivery, content: pa.Table) -> bool:
    """Write the rows, unless they are delivered; return whether they were written. Raises StepError."""
    target, names = delivery.target, content.column_names
    types = session.types(content)
    _require_keys(content, delivery.key)
    if missing(session, delivery) is None:
        return False
    for _ in range(TRIES):
        present = session.columns(target)
        if present is not None:
            _require_columns(target, present, names, session.filled(target))
        session.stage(content, types, present)
        session.lock(target)
        if missing(session, delivery) is None:  # by a process that held the lock until now
            return False
        if session.columns(target) == present:
            break
        session.undo()  # another delivery has just made the table: its columns count
    else:
        raise StepError(f"the table {target} changes while it is written", code="database-refused", hint="run again")
    log = target.beside(DELIVERIES)
    if session.columns(log) is None:
        session.run(f"CREATE TABLE IF NOT EXISTS {log} ({SHAPE})")
    if present is None:
        primary = [f"PRIMARY KEY ({listed(delivery.key)})"] if delivery.key else []
        session.run(
            f"CREATE TABLE {target} ({', '.join([f'{quoted(name)} {types[name]}' for name in names] + primary)})"
        )
    if present is None or delivery.mode == "replace":  # what was delivered before is not in the table any more
        session.run(f"DELETE FROM {log} WHERE target = $1", target.name)
    if delivery.mode == "replace":
        session.run(f"DELETE FROM {target}")
    session.run(_insertion(session, delivery, names, present or types))
    _log(session, delivery, content.num_rows)
    session.commit()
    return True


def _insertion(session: Session, delivery: Delivery, names: list[str], types: Mapping[str, str]) -> str:
    values = ", ".join(session.staged(name, types[name]) for name in names)
    insertion = f"INSERT INTO {delivery.target} ({listed(names)}) SELECT {values} FROM {STAGE}"
    if delivery.mode != "upsert":
        return insertion
    others = [name for name in names if name not in delivery.key]
    changes = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in others)
    update = f"UPDATE SET {changes}" if others else "NOTHING"
    return f"{insertion} WHERE true ON CONFLICT ({listed(delivery.key)}) DO {update}"


def _log(session: Session, delivery: Delivery, rows: int) -> None:
    log, name = delivery.target.beside(DELIVERIES), delivery.target.name
    session.run(f"DELETE FROM {log} WHERE target = $1 AND delivery = $2", name, delivery.id)
    (latest,) = session.run(f"SELECT coalesce(max(sequence), 0) FROM {log} WHERE target = $1", name)
    values = (name, delivery.id, delivery.mode, rows, latest[0] + 1)
    session.run(f"INSERT INTO {log} (target, delivery, mode, row_count, sequence) VALUES ($1, $2, $3, $4, $5)", *values)


def _is_delivered(session: Asked, delivery: Delivery) -> bool:
    """Return whether the rows are in the table: appended once, or otherwise as the latest delivery."""
    log = delivery.target.beside(DELIVERIES)
    if session.columns(log) is None:
        return False
    rows = session.run(f"SELECT delivery FROM {log} WHERE target = $1 ORDER BY sequence DESC", delivery.target.name)
    found = [row[0] for row in rows]
    return delivery.id in (found if delivery.mode == "append" else found[:1])


def _require_columns(target: Target, present: Mapping[str, str], names: list[str], filled: Collection[str]) -> None:
    """Raise StepError unless the rows have the columns of the table, except for those that the database fills."""
    absent = [name for name in names if name not in present]
    left = [name for name in present if name not in names and name not in filled]
    if absent or left:
        which = [f"it has no column {few(absent)}"] if absent else []
        which += [f"the rows have no column {few(left)}"] if left else []
        raise StepError(
            f"the rows do not fit the table {target}: {'; '.join(which)}",
            code="bad-table",
            hint="write the columns of the table, or write to another table",
        )


def _require_keys(content: pa.Table, key: tuple[str, ...]) -> None:
    """Raise StepError unless the key's columns identify each row."""
    if twice := repeated(content.column_names):
        raise StepError(f"the table has duplicate column names: {few(twice)}", code="duplicate-column")
    for name in key:
        if name not in content.column_names:
            raise StepError(f'the table has no column "{name}" of the key', code="unknown-column")
        if content[name].null_count:
            raise StepError(f'the key "{name}" is missing in {content[name].null_count} rows', code="ambiguous-key")
    if key and (extra := content.num_rows - content.group_by(list(key)).aggregate([]).num_rows):
        raise StepError(
            f"{extra} rows have a key that another row has", code="ambiguous-key", hint="use data.select first"
        )
