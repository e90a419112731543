"""Return the checks of ``e2i doctor`` on the databases of the settings: one query to each server."""

from __future__ import annotations

from functools import partial

from e2i.catalog.questions import Question
from e2i.tools.database import Settings
from e2i.tools.database.postgres import select_one


def questions(settings: Settings) -> list[Question]:
    """Return one check for each PostgreSQL connection."""
    return [
        Question(
            name, partial(select_one, one.url.get_secret_value()), settings.deadline, ("adbc_driver_postgresql.dbapi",)
        )
        for name, one in sorted(settings.connections.items())
        if one.file is None
    ]
