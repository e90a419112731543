"""Keep the approvals of plans and their uses, in the SQLite file of a store.

In: signed records as text. Out: rows. The tables are created by the first approval; a store without them has none. What
a record says is checked by its signature (``e2i.approvals``), never by these rows.
"""

from __future__ import annotations

import sqlite3

from msgspec import Struct

TABLES = (
    "CREATE TABLE IF NOT EXISTS approvals (id TEXT PRIMARY KEY, plan TEXT NOT NULL, record TEXT NOT NULL,"
    " once INTEGER NOT NULL, revoked_ms INTEGER, expired_ms INTEGER) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS approvals_by_plan ON approvals (plan)",
    "CREATE TABLE IF NOT EXISTS approval_uses (id TEXT NOT NULL, run TEXT NOT NULL, at_ms INTEGER NOT NULL,"
    " PRIMARY KEY (id, run)) WITHOUT ROWID",
)
HAS_TABLES = "SELECT count(*) = 2 FROM sqlite_master WHERE name IN ('approvals', 'approval_uses')"
COLUMNS = "SELECT id, record, revoked_ms, expired_ms FROM approvals"
VALID_PLANS = "SELECT plan FROM approvals WHERE revoked_ms IS NULL AND expired_ms IS NULL"
UNFINISHED = (
    "SELECT runs.run FROM runs JOIN approval_uses USING (run) WHERE approval_uses.id = ?"
    " AND (runs.status != 'succeeded' OR EXISTS ("
    "SELECT 1 FROM steps WHERE steps.run = runs.run AND steps.status = 'deferred'))"
    " ORDER BY runs.run"
)
"""The runs that an approval allows to be resumed: a finished run would only repeat what must run each time."""
LATEST = (
    "SELECT max(coalesce((SELECT max(max(started_ms, coalesce(ended_ms, 0))) FROM runs), 0),"
    " coalesce((SELECT max(at_ms) FROM approval_uses), 0))"
)


class ApprovalRow(Struct, frozen=True):
    """A kept approval. ``expired_ms``: when a run found it expired, after which no clock makes it valid again."""

    id: str
    record: str
    revoked_ms: int | None
    expired_ms: int | None
    runs: tuple[str, ...] = ()
    """The runs that have used it, oldest first."""
    unfinished: tuple[str, ...] = ()
    """Those of them that have not succeeded yet, or have deferred steps."""


class ApprovalTable:
    """The approvals of one store. Writes happen inside a transaction of the caller."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add(self, approval: str, plan: str, record: str, *, once: bool) -> bool:
        """Adds a record. Returns False, and changes nothing, when there is one of that id."""
        for statement in TABLES:
            self._database.execute(statement)
        row = (approval, plan, record, once)
        found = self._database.execute(
            "INSERT OR IGNORE INTO approvals (id, plan, record, once) VALUES (?, ?, ?, ?)", row
        )
        return found.rowcount == 1

    def rows(self, plan: str | None = None) -> list[ApprovalRow]:
        """Returns the approvals of a plan by its digest, or all."""
        if not self._has_tables():
            return []
        where, values = ("", ()) if plan is None else (" WHERE plan = ?", (plan,))
        found = self._database.execute(COLUMNS + where, values).fetchall()
        return [
            ApprovalRow(name, text, revoked, expired, self._runs(name), self._unfinished(name))
            for name, text, revoked, expired in found
        ]

    def valid_plans(self) -> set[str]:
        """Returns the digests of the plans with an approval that was not revoked or found expired."""
        if not self._has_tables():
            return set()
        return {row[0] for row in self._database.execute(VALID_PLANS)}

    def revoke(self, approval: str, at_ms: int) -> None:
        """Revokes an approval for good."""
        self._database.execute(
            "UPDATE approvals SET revoked_ms = coalesce(revoked_ms, ?) WHERE id = ?", (at_ms, approval)
        )

    def expire(self, approval: str, at_ms: int) -> None:
        """Records that an approval was found expired."""
        self._database.execute(
            "UPDATE approvals SET expired_ms = coalesce(expired_ms, ?) WHERE id = ?", (at_ms, approval)
        )

    def use(self, approval: str, run: str, at_ms: int, *, once: bool) -> bool:
        """Records that a run uses an approval, before its start is recorded. Returns False, and changes nothing, when
        it was revoked, or is for one run, and another run has used it or this one has finished.
        """
        found = self._database.execute("SELECT revoked_ms FROM approvals WHERE id = ?", (approval,)).fetchone()
        if found is None or found[0] is not None:
            return False
        if once and set(self._runs(approval)) - ({run} & set(self._unfinished(approval))):
            return False
        self._database.execute("INSERT OR IGNORE INTO approval_uses VALUES (?, ?, ?)", (approval, run, at_ms))
        return True

    def revoke_unused(self, at_ms: int) -> None:
        """Revokes the approvals for one run that no run has used: in a copy of a store they would count twice."""
        if self._has_tables():
            self._database.execute(
                "UPDATE approvals SET revoked_ms = ? WHERE once AND revoked_ms IS NULL"
                " AND id NOT IN (SELECT id FROM approval_uses)",
                (at_ms,),
            )

    def latest_ms(self) -> int:
        """Returns the latest time that the store has recorded, of a run or of a use. A clock that shows less was set
        back.
        """
        found: int = self._database.execute(LATEST).fetchone()[0] if self._has_tables() else 0
        return found

    def _runs(self, approval: str) -> tuple[str, ...]:
        rows = self._database.execute("SELECT run FROM approval_uses WHERE id = ? ORDER BY at_ms, run", (approval,))
        return tuple(row[0] for row in rows)

    def _unfinished(self, approval: str) -> tuple[str, ...]:
        return tuple(row[0] for row in self._database.execute(UNFINISHED, (approval,)))

    def _has_tables(self) -> bool:
        return bool(self._database.execute(HAS_TABLES).fetchone()[0])
