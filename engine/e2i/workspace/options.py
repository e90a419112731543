"""What a plan or a run was asked for, from the command line to the engine: one value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field


class RunOptions(Struct, frozen=True):
    """Parameters and options of one plan or run."""

    params: Mapping[str, Any] = field(default_factory=dict)
    """Values for the spec's parameters, by name."""
    select: tuple[str, ...] = ()
    """Only these steps and what they need; empty: all."""
    fresh: bool = False
    """Run every step again."""
    bound_to: Mapping[str, Any] | None = None
    """The document of the approved plan: anything else is refused."""
    run_id: str | None = None
    """The run to resume; None: a new one, or the latest run of the same plan that did not end."""
