"""Find the embedded studies that no kept run names."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

from e2i.catalog.retention import Kept, Leftover, is_old
from e2i.tools.optuna import FILE

STUDIES = "SELECT study_name FROM studies ORDER BY study_name"


def leftovers(home: Path, kept: Kept) -> list[Leftover]:
    """Return the studies that could be removed. One without a file of its trials is not by e2i, and stays."""
    if not (home / FILE).is_file():
        return []
    with closing(sqlite3.connect(f"{(home / FILE).resolve().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
        names = [str(name) for (name,) in database.execute(STUDIES)]
    found = []
    for name in names:
        trials = home / "trials" / f"{name}.jsonl"
        if ("study", name) not in kept.names and is_old(kept, trials):
            found.append(Leftover(name, (trials,), partial(_delete, home, name)))
    return found


def _delete(home: Path, name: str) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(f"sqlite:///{home.resolve() / FILE}")
    try:
        optuna.delete_study(study_name=name, storage=storage)
    finally:
        storage.engine.dispose()
