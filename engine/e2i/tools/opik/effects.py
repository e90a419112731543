"""Check that the effects of finished Opik steps still exist: an experiment, complete, in Opik."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Coroutine
from contextlib import closing
from pathlib import Path

from e2i.catalog.context import Look
from e2i.tools.opik import FILE, EvaluateOutputs, EvaluateParams

HELD = """
SELECT document, (SELECT count(*) FROM experiment_items WHERE experiment = experiments.id) FROM experiments
WHERE name = ?
"""


def evaluate(
    params: EvaluateParams, outputs: EvaluateOutputs, look: Look
) -> str | Coroutine[None, None, str | None] | None:
    """Return what is missing of the experiment; None when Opik has it with all of its cases."""
    if look.settings("opik").is_embedded:
        return _missing(outputs, _count(look.home("opik") / FILE, outputs.experiment))
    return _ask(outputs, look)


async def _ask(outputs: EvaluateOutputs, look: Look) -> str | None:
    from e2i.tools.opik.connector import GuardedOpik

    return _missing(outputs, await look.connect(GuardedOpik).count_cases(outputs.experiment))


def _missing(outputs: EvaluateOutputs, found: int) -> str | None:
    if found >= outputs.cases:
        return None
    return f"Opik has {found} of {outputs.cases} cases of the experiment {outputs.experiment!r}"


def _count(file: Path, experiment: str) -> int:
    """Return the cases of the complete experiment of that name in the embedded backend's file."""
    if not file.is_file():
        return 0
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
        rows = database.execute(HELD, (experiment,)).fetchall()
    return max((int(cases) for text, cases in rows if json.loads(text).get("status") == "completed"), default=0)
