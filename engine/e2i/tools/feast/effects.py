"""Check that the effects of finished Feast steps still exist: registered views with their rows, published values.

When both the registry and the online store are embedded, files are read and Feast is not imported.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Coroutine
from contextlib import closing
from datetime import datetime
from pathlib import Path

from e2i.catalog.artifacts import FeatureRepo
from e2i.catalog.context import Look
from e2i.tools.feast import ApplyOutputs, ApplyParams, MaterializeOutputs, MaterializeParams

Missing = str | None


def apply(params: ApplyParams, outputs: ApplyOutputs, look: Look) -> Missing | Coroutine[None, None, Missing]:
    """Return what is missing of a version of a project; None when its views are registered and their rows stored."""
    if look.settings("feast").is_embedded:
        return _missing_version(look.home("feast") / outputs.repo.project, outputs.repo)
    return _ask_apply(outputs, look)


def materialize(
    params: MaterializeParams, outputs: MaterializeOutputs, look: Look
) -> Missing | Coroutine[None, None, Missing]:
    """Return what is missing of published values; None when the online store has them.

    Keys in an embedded store are counted. On a server, which other versions of the project also write to, some keys are
    checked: it must have the published values, or newer ones.
    """
    if look.settings("feast").is_embedded:
        root = look.home("feast") / params.repo.project
        return _missing_version(root, params.repo) or _missing_rows(root, params.repo, outputs)
    return _ask_materialize(params, outputs, look)


async def _ask_apply(outputs: ApplyOutputs, look: Look) -> Missing:
    from e2i.tools.feast.connector import GuardedFeast

    return await look.connect(GuardedFeast).missing_definitions(outputs.repo)


async def _ask_materialize(params: MaterializeParams, outputs: MaterializeOutputs, look: Look) -> Missing:
    from e2i.tools.feast.connector import GuardedFeast

    client, until = look.connect(GuardedFeast), datetime.fromisoformat(outputs.until)
    views = [view for view, published in outputs.views.items() if published.keys]
    return await client.missing_values(params.repo, views, params.start, until)


def _missing_version(root: Path, repo: FeatureRepo) -> Missing:
    from e2i.tools.feast.definitions import Definition

    folder = root / "versions" / repo.digest.removeprefix("sha256:")
    name = f"version {repo.digest[7:19]} of the Feast project {repo.project}"
    try:
        definition = Definition.model_validate_json((folder / "definition.json").read_bytes())
    except (OSError, ValueError):
        return f"{name} is not in this store"
    if f"sha256:{definition.digest()}" != repo.digest:
        return f"{name} is corrupt"
    if not (folder / "registry.db").is_file() or not (root / "feature_store.yaml").is_file():
        return f"{name} is not registered"
    absent = [view.name for view in definition.views if not (root / "sources" / f"{view.source}.parquet").is_file()]
    return f"the rows of feature view {absent[0]} are not in the store" if absent else None


def _missing_rows(root: Path, repo: FeatureRepo, outputs: MaterializeOutputs) -> Missing:
    file = root / "versions" / repo.digest.removeprefix("sha256:") / "online.db"
    for view, published in outputs.views.items():
        found = _count(file, f"{repo.project}_{view}") if published.keys else 0
        if found < published.keys:
            return f"the online store has {found} of {published.keys} keys of feature view {view}"
    return None


def _count(file: Path, table: str) -> int:
    if not file.is_file():
        return 0
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
        known = database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        query = f'SELECT count(DISTINCT entity_key) FROM "{table}"'
        return int(database.execute(query).fetchone()[0]) if known else 0
