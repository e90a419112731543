"""Check that the effects of finished Optuna steps still exist: a study with its trials in the study storage."""

from __future__ import annotations

import sqlite3
from collections.abc import Coroutine
from contextlib import closing
from pathlib import Path

from e2i.catalog.context import Look
from e2i.tools.optuna import FILE, TuneOutputs, TuneParams

FINISHED = """
SELECT count(*) FROM trials JOIN studies USING (study_id)
WHERE study_name = ? AND (state IN ('COMPLETE', 'PRUNED') OR (state = 'FAIL' AND trial_id IN
(SELECT trial_id FROM trial_user_attributes WHERE key = 'reason')))
"""
"""A trial that failed by itself has a reason; others were left by a process that exited."""


def tune(params: TuneParams, outputs: TuneOutputs, look: Look) -> str | Coroutine[None, None, str | None] | None:
    """Return what is missing of the study; None when the storage has all of its trials."""
    if look.settings("optuna").is_embedded:
        return _missing(outputs, _count(look.home("optuna") / FILE, outputs.study.name))
    return _ask(outputs, look)


async def _ask(outputs: TuneOutputs, look: Look) -> str | None:
    from e2i.tools.optuna.connector import GuardedOptuna

    return _missing(outputs, await look.connect(GuardedOptuna).count_trials(outputs.study.name))


def _missing(outputs: TuneOutputs, found: int) -> str | None:
    study = outputs.study
    if found >= study.trials:
        return None
    return f"the study storage has {found} of {study.trials} trials of the study {study.name!r}"


def _count(file: Path, study: str) -> int:
    if not file.is_file():
        return 0
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
        return int(database.execute(FINISHED, (study,)).fetchone()[0])
