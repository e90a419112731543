"""Return the checks of ``e2i doctor`` on the databases of ``datasources``: one query to each server."""

from __future__ import annotations

from functools import partial

from e2i.catalog.questions import Question
from e2i.resilience.postgres import select_one
from e2i.tools.great_expectations import GreatExpectationsSettings, PostgresqlSource


def questions(settings: GreatExpectationsSettings) -> list[Question]:
    """Return one check for each PostgreSQL datasource."""
    seconds = settings.source_deadline
    return [
        Question(
            name,
            partial(select_one, source.url.get_secret_value().replace("postgres://", "postgresql://", 1), seconds),
            seconds,
            ("sqlalchemy", "psycopg"),
        )
        for name, source in sorted(settings.datasources.items())
        if isinstance(source, PostgresqlSource)
    ]
