"""Check that the rows of finished ``database.write`` steps are still delivered, by the table of deliveries."""

from __future__ import annotations

from e2i.catalog.context import Look
from e2i.tools.database import WriteOutputs, WriteParams


def write(params: WriteParams, outputs: WriteOutputs, look: Look) -> str | None:
    """Return what is missing of the delivery; None when the table has it."""
    from e2i.tools.database.actions import delivery_of
    from e2i.tools.database.connector import Databases
    from e2i.tools.database.delivery import missing

    with look.connect(Databases).opened(params.connection) as session:
        return missing(session, delivery_of(params))
