"""Register versions of models and move them between stages. In: logged models. Out: versions and stages.

A stage is an alias (``models:/NAME@production``) and the tag ``stage``, which also records archived versions. A version
is in one stage at a time. A new version is in development, where any number may be; its alias is the one that was
moved there last. Each other live stage has one version.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from e2i.errors import StepError
from e2i.tools.mlflow import DIGEST_TAG, EXCLUSIVE_STAGES, FIRST_STAGE, KEY_TAG, LIVE_STAGES, STAGE_TAG
from e2i.tools.mlflow.filters import attribute, render, tag
from e2i.tools.mlflow.models import LoggedRef
from e2i.tools.mlflow.registered import Registered
from e2i.tools.mlflow.runs import RunRef
from e2i.tools.mlflow.tracking import Tracking

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MLflowVersion

MOVE_TAG = "e2i.move"
"""Tag on a version: the key of its latest move to a stage, and after a space the version that was there before."""


def ensure_version(
    tracking: Tracking,
    name: str,
    logged: LoggedRef,
    run: RunRef,
    *,
    key: str,
    digest: str,
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> MLflowVersion:
    """Return the version with ``key``: an earlier attempt's with its files, or a new one. Creates a missing model."""
    client = tracking.client
    with tracking.alone():
        if not client.search_registered_models(render(attribute("name", name)), max_results=1):
            client.create_registered_model(name)
        query = render(attribute("name", name), tag(KEY_TAG, key))
        for found in client.search_model_versions(query, max_results=5, order_by=["version_number DESC"]):
            if has_files(tracking, name, int(found.version)):
                return found
        return client.create_model_version(
            name,
            source=f"models:/{logged.id}" if tracking.is_server else logged.location,
            run_id=run.id,
            tags={**(tags or {}), STAGE_TAG: FIRST_STAGE, KEY_TAG: key, DIGEST_TAG: digest},
            description=description or None,
            model_id=logged.id,
        )


def set_stage(
    tracking: Tracking,
    name: str,
    version: int,
    stage: str,
    *,
    archive_existing: bool = True,
    key: str = "",
    champion: int | None = None,
    fixed: Collection[str] = (),
) -> int | None:
    """Move a version to a stage and return the version that it replaces there, if there is one. Safe to repeat.
    The version in a ``fixed`` stage is not moved out of it: StepError (``policy-privilege``).

    The previous version is archived, or moved to development without ``archive_existing``. In development, which holds
    any number of versions, nothing is replaced.

    The previous version is recorded before the alias moves. A move with the same ``key``, finished or interrupted,
    therefore returns the same result when it is repeated.
    """
    client = tracking.client
    with tracking.alone():
        found = find_version(tracking, name, version)
        aliases = {alias: int(held) for alias, held in client.get_registered_model(name).aliases.items()}
        for kept in fixed:
            if kept != stage and aliases.get(kept) == version:
                raise StepError(
                    f"version {version} of {name!r} is in {kept}, out of which this spec or program may not move it",
                    code="policy-privilege",
                    hint=f"the operator decides: promote_to_{kept} in config/policy.yaml",
                )
        previous = aliases.get(stage) if stage in EXCLUSIVE_STAGES and aliases.get(stage) != version else None
        was_begun, before = _move(str(found.tags.get(MOVE_TAG, "")), key)
        if champion is not None and aliases.get(stage, 0) not in (champion, version):
            raise StepError(
                f"version {aliases.get(stage, 'none')} of {name!r} moved to {stage} during the "
                "comparison with another version",
                code="champion-changed",
                hint="run it again to compare with that version",
            )
        current = aliases.get(stage) == version or (stage == "archived" and found.tags.get(STAGE_TAG) == stage)
        if was_begun and current:
            previous = before
        elif key:
            client.set_model_version_tag(name, str(version), MOVE_TAG, f"{key} {previous or ''}".rstrip())
        if previous is not None and not current:
            left = "archived" if archive_existing else FIRST_STAGE
            client.set_model_version_tag(name, str(previous), STAGE_TAG, left)
        if stage != "archived" and aliases.get(stage) != version:
            client.set_registered_model_alias(name, stage, str(version))
        client.set_model_version_tag(name, str(version), STAGE_TAG, stage)
        for alias, held in sorted(aliases.items()):
            if held == version and alias in LIVE_STAGES and alias != stage:
                client.delete_registered_model_alias(name, alias)
    return previous


def champion(tracking: Tracking, name: str, version: int, stage: str, *, key: str) -> int | None:
    """Return the version that a move to a stage replaces, or replaced when the move with ``key`` was made."""
    held = tracking.client.get_registered_model(name).aliases.get(stage)
    was_begun, before = _move(str(find_version(tracking, name, version).tags.get(MOVE_TAG, "")), key)
    if was_begun and held is not None and int(held) == version:
        return before
    return None if held is None else int(held)


def _move(tag: str, key: str) -> tuple[bool, int | None]:
    """Return whether a version's last move had this key, which may have spaces, and the version that it replaced."""
    if not key or not tag.startswith(key):
        return False, None
    rest = tag.removeprefix(key).split(" ")
    if rest == [""]:
        return True, None
    is_number = len(rest) == 2 and rest[0] == "" and rest[1].isdigit()
    return is_number, int(rest[1]) if is_number else None


def find_version(tracking: Tracking, name: str, version: int) -> MLflowVersion:
    """Return the version of that number. Raises StepError when there is none."""
    from mlflow.exceptions import MlflowException

    client = tracking.client
    query = render(attribute("name", name))
    latest = client.search_model_versions(query, max_results=5, order_by=["version_number DESC"])
    found = None
    if latest and 1 <= version <= int(latest[0].version):
        try:
            found = client.get_model_version(name, str(version))
        except MlflowException as error:  # it was deleted
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    if found is None:
        known = ", ".join(str(item.version) for item in latest) or "none"
        raise StepError(
            f"the registered model {name!r} has no version {version}",
            code="unknown-version",
            hint=f"its latest versions: {known}",
        )
    return found


def registered(tracking: Tracking, name: str, version: int) -> Registered:
    """Return the registry's record of a version. Raises StepError when there is none."""
    found = find_version(tracking, name, version)
    aliases = tracking.client.get_registered_model(name).aliases
    return Registered(
        dict(found.tags),
        has_files(tracking, name, version),
        {alias: int(held) for alias, held in aliases.items()},
    )


def has_files(tracking: Tracking, name: str, version: int) -> bool:
    """Return True when the files of a version's model exist where the registry expects them."""
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    location = tracking.client.get_model_version_download_uri(name, str(version))
    try:
        found = mlflow.artifacts.list_artifacts(artifact_uri=location, tracking_uri=tracking.uri)
        names = {item.path.rpartition("/")[2] for item in found}
        if "code" not in names:  # a model of another flavour than e2i's
            return "MLmodel" in names
        return bool(mlflow.artifacts.list_artifacts(artifact_uri=f"{location}/data/model", tracking_uri=tracking.uri))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return False
        raise


def version_in_stage(tracking: Tracking, name: str, stage: str) -> MLflowVersion | None:
    """Return the version in a stage, the latest of development and of the archived ones; or None."""
    client = tracking.client
    if not client.search_registered_models(render(attribute("name", name)), max_results=1):
        return None
    held = client.get_registered_model(name).aliases.get(stage)
    if held is not None:
        return client.get_model_version(name, str(held))
    if stage not in (FIRST_STAGE, "archived"):
        return None
    query = render(attribute("name", name), tag(STAGE_TAG, stage))
    found = client.search_model_versions(query, max_results=1, order_by=["version_number DESC"])
    return found[0] if found else None


def latest_versions(tracking: Tracking, name: str, stages: tuple[str, ...] = ()) -> list[MLflowVersion]:
    """Return the version in each of the stages; without stages, the newest version."""
    if stages:
        found = (version_in_stage(tracking, name, stage) for stage in stages)
        return [version for version in found if version is not None]
    return list(
        tracking.client.search_model_versions(
            render(attribute("name", name)), max_results=1, order_by=["version_number DESC"]
        )
    )
