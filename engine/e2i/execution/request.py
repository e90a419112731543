"""The input of the engine: what to execute, and in which environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from e2i.check.policy import Authority
from e2i.planning.build import Planner
from e2i.planning.model import Plan
from e2i.settings import Settings
from e2i.store.past import RecordedOptions, RunOrigin
from e2i.workspace.paths import Roots

if TYPE_CHECKING:
    from e2i.approvals.record import Approval


class RunRequest(Struct, frozen=True):
    """A plan with everything that its run may use."""

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
    """The permissions of the policy, checked again when the parameters are known."""
    roots: Roots
    """The folders that paths in specs may lead into."""
    planned_ms: int = 0
    """Start of planning in milliseconds since the epoch. The plan does not know results that other runs finish later.
    """
    done: frozenset[str] = frozenset()
    """The steps that had succeeded in this run before it was resumed."""
    included: Mapping[str, str] = field(default_factory=dict)
    """The texts of the included specs, by name."""
    options: RecordedOptions = RecordedOptions()
    """Other options of the run: select, fresh, origin, bound. A resumed run keeps them."""
    resumed_because: str = ""
    """Why the resumed run had not finished, if the same command resumes it."""
    approval: Approval | None = None
    """The approval that the run uses. Without one, a step that turns out to need one is not executed."""
    provenance: RunOrigin = RunOrigin()
    """The origin of the results, for the records."""
