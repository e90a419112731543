"""The options of a plan or a run, from the command line to the engine, in one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from e2i.documents import ParamValues

if TYPE_CHECKING:
    from e2i.planning.model import PlanDocument


class RunOptions(Struct, frozen=True):
    """Parameters and options of one plan or run."""

    params: ParamValues = field(default_factory=ParamValues)
    """Values for the spec's parameters, by name."""
    select: tuple[str, ...] = ()
    """The selected steps; empty: all. The steps that they need are included."""
    fresh: bool = False
    """Run every step again."""
    bound_to: PlanDocument | None = None
    """The document of the approved plan; any other plan is refused."""
    run_id: str | None = None
    """The run to resume; None: the latest unfinished run of the same plan, else a new run."""
    wait: bool = True
    """Wait for a turn when the store executes as many runs as it may."""
