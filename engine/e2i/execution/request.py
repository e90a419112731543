"""What is to be carried out, and in which surroundings: what the API hands to the engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from e2i.check.policy import Authority
from e2i.planning.build import Planner
from e2i.planning.model import Plan
from e2i.settings import Settings


class RunRequest(Struct, frozen=True):
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
    planned_ms: int = 0
    """When planning began, in milliseconds since the epoch: what other runs finish later, the plan does not know."""
    included: Mapping[str, str] = field(default_factory=dict)
    """The texts of the parts that the spec includes, by name."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What else the run was asked for: select, fresh, origin, bound; a run that is resumed has the same."""
    resumed_because: str = ""
    """Why the run, which another process began, did not come to its end, if the same command goes on with it."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Where the results will come from, for the records."""
