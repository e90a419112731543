"""Great Expectations behind the guard, for actions. In: frames and suites. Out: validations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from e2i.tools.great_expectations import GreatExpectationsSettings
from e2i.tools.great_expectations.suite import Suite
from e2i.tools.great_expectations.validation import Validation, validate

if TYPE_CHECKING:
    import pandas as pd

    from e2i.resilience.guard import Guard


class GuardedGE:
    """Validates frames in memory. Every call has its own library context, so calls may overlap."""

    tool: ClassVar[str] = "great_expectations"

    def __init__(self, settings: GreatExpectationsSettings, guard: Guard, home: Path) -> None:
        self._settings = settings
        self._guard = guard

    async def validate(self, frame: pd.DataFrame, suite: Suite, *, samples: int = 5) -> Validation:
        """Check a frame. Raises BadInput for invalid arguments, ToolUnavailable when the library is missing."""
        return await self._guard.acall(validate, frame, suite, samples, deadline=self._settings.deadline)
