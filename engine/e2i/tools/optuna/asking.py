"""Return the check of ``e2i doctor`` on the database of studies: one query."""

from __future__ import annotations

from functools import partial

from e2i.catalog.questions import Question
from e2i.resilience.postgres import select_one
from e2i.tools.optuna import OptunaSettings
from e2i.tools.optuna.turns import CONNECTING, with_driver


def questions(settings: OptunaSettings) -> list[Question]:
    """Return one check, when studies are on a server."""
    if settings.study_storage is None or settings.study_file is not None:
        return []
    seconds = min(CONNECTING, settings.deadline)
    address = with_driver(settings.study_storage.get_secret_value())
    return [Question("storage", partial(select_one, address, seconds), seconds, ("sqlalchemy", "psycopg"))]
