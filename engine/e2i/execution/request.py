"""What is to be carried out, and in which surroundings: what the API hands to the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from e2i.check.policy import Authority
from e2i.planning.build import Planner
from e2i.planning.model import Plan
from e2i.settings import Settings


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A plan and all that its run may know."""

    run: str
    file: str
    text: str
    planner: Planner
    plan: Plan
    settings: Settings
    store: Path
    environ: Mapping[str, str]
    cores: int
    authority: Authority
    """What the policy lets the steps do: asked again when their parameters are known."""
