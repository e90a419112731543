"""The words of MLflow's actions: stages, names, and the tags by which e2i finds what it made. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import StringConstraints

Stage = Literal["development", "staging", "shadow", "production", "archived"]
"""Stage of a model version. Every stage but ``archived`` is also an alias: ``models:/NAME@production``."""
LiveStage = Literal["development", "staging", "shadow", "production"]

LIVE_STAGES: tuple[str, ...] = ("development", "staging", "shadow", "production")
FIRST_STAGE = "development"
"""Stage of a version when it is registered. Any number of versions are in it."""
EXCLUSIVE_STAGES = ("staging", "shadow", "production")
"""Stages that hold one version."""


def fixed_stages(withheld: Collection[str]) -> tuple[str, ...]:
    """Returns the stages out of which no version may be moved without these permissions."""
    return tuple(stage for stage in EXCLUSIVE_STAGES if f"promote_to_{stage}" in withheld)


ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
"""Name of a registered model. Slashes and percent signs could redirect a ``models:/`` address, so they are refused."""
Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_. :/-]+$", max_length=250)]
"""Name of a metric or a parameter."""
TagName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_. /-]+$", max_length=250)]
TagText = Annotated[str, StringConstraints(max_length=5000)]

DIGEST_TAG = "e2i.model"
"""Tag on a logged model and on a version: the digest of the model."""
KEY_TAG = "e2i.key"
"""Tag on a child run and on a version: the idempotency key that it was created with."""
STAGE_TAG = "stage"
"""Tag on a version: its stage."""
