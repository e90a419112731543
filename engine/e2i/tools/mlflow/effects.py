"""Check that the effects of finished MLflow steps still exist: versions with their files, and their stages.

When MLflow is embedded, its database and files are read, and MLflow is not imported.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path

from e2i.catalog.context import Look, Superseded
from e2i.tools.mlflow import (
    DIGEST_TAG,
    FIRST_STAGE,
    KEY_TAG,
    LIVE_STAGES,
    STAGE_TAG,
    PromoteOutputs,
    PromoteParams,
    RegisterOutputs,
    RegisterParams,
)
from e2i.tools.mlflow.registered import Registered

Missing = str | None
VERSION = "SELECT storage_location, source, current_stage FROM model_versions WHERE name = ? AND version = ?"
TAGS = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"
ALIASES = "SELECT alias, version FROM registered_model_aliases WHERE name = ?"


def register(params: RegisterParams, outputs: RegisterOutputs, look: Look) -> Missing | Coroutine[None, None, Missing]:
    """Return what is missing of a registered version; None when it exists with its files."""
    version = outputs.version
    wanted = {KEY_TAG: look.key("register", params.name, params.model.digest), DIGEST_TAG: params.model.digest}

    def judge(found: Registered | None) -> Missing:
        if found is None or any(found.tags.get(tag) != value for tag, value in wanted.items()):
            return f"the registry has no version {version.version} of {version.name!r} from this run's inputs"
        return None if found.has_files else f"the files of version {version.version} of {version.name!r} are missing"

    if look.settings("mlflow").is_embedded:
        return judge(_read(look.home("mlflow"), version.name, version.version))
    return _ask(look, version.name, version.version, judge)


def promote(params: PromoteParams, outputs: PromoteOutputs, look: Look) -> Missing | Coroutine[None, None, Missing]:
    """Return what is missing of a move to a stage; None when the version is in it, or in a later one.

    A version that has since moved to production must not return to staging because the run that moved it there is
    repeated. Superseded: somebody has moved this version, or another one to its stage, since.
    """
    version = params.version

    def judge(found: Registered | None) -> Missing:
        if found is None:
            return f"the registry has no version {version.version} of {version.name!r}"
        if not outputs.promoted:
            held = found.aliases.get(params.stage)
            return (
                None
                if held == outputs.champion
                else Superseded(f"it was compared with version {outputs.champion}, the current one is {held}")
            )
        stage = found.tags.get(STAGE_TAG)
        if params.stage == "archived":
            moved = Superseded(f"version {version.version} of {version.name!r} is not archived")
            return None if stage == "archived" else moved
        if stage == params.stage == FIRST_STAGE:  # which holds any number of versions
            return None
        later = LIVE_STAGES[LIVE_STAGES.index(params.stage) :]
        if any(found.aliases.get(name) == version.version for name in later):
            return None
        held = found.aliases.get(params.stage)
        other = f"version {held}" if held else "no version"
        lost = f"{other} of {version.name!r} is in {params.stage}, not version {version.version}"
        return lost if held is None and stage == params.stage else Superseded(lost)

    if look.settings("mlflow").is_embedded:
        return judge(_read(look.home("mlflow"), version.name, version.version))
    return _ask(look, version.name, version.version, judge)


async def _ask(look: Look, name: str, version: int, judge: Callable[[Registered | None], Missing]) -> Missing:
    from e2i.tools.mlflow.connector import GuardedMLflow

    found = await look.connect(GuardedMLflow).registered(name, version)
    return judge(found)


def _read(home: Path, name: str, version: int) -> Registered | None:
    """Return the embedded registry's record of a version; None when there is none."""
    file = home / "mlflow.db"
    if not file.is_file():
        return None
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
        row = database.execute(VERSION, (name, version)).fetchone()
        if row is None or row[2] == "Deleted_Internal":
            return None
        tags = dict(database.execute(TAGS, (name, version)).fetchall())
        aliases = {alias: int(held) for alias, held in database.execute(ALIASES, (name,))}
    return Registered(tags, _has_files(home, str(row[0] or row[1])), aliases)


def _has_files(home: Path, location: str) -> bool:
    """Return True when the folder of a version's model exists, also in a store that was moved since."""
    known = home / "artifacts.path"
    path = Path(location.removeprefix("file://"))
    if known.is_file() and path.is_relative_to(before := known.read_text("utf-8")):
        path = home / "artifacts" / path.relative_to(before)
    return (path / "data" / "model").is_dir()
