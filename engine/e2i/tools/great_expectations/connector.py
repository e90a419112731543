"""The client of Great Expectations that the platform's agents use. In: frames and suites. Out: validations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from e2i.tools.great_expectations import GreatExpectationsSettings
from e2i.tools.great_expectations.suite import Suite
from e2i.tools.great_expectations.validation import Validation, validate

if TYPE_CHECKING:
    import pandas as pd

    from e2i.resilience.guard import Guard


class GEValidator:
    """Validates frames in memory; every call has a library context of its own, so calls may overlap."""

    tool: ClassVar[str] = "great_expectations"

    def __init__(self, settings: GreatExpectationsSettings, guard: Guard, home: Path) -> None:
        self._settings = settings
        self._guard = guard

    async def validate(self, frame: pd.DataFrame, suite: Suite, *, samples: int = 5) -> Validation:
        """Checks a frame. Raises BadInput for arguments that do not fit, ToolUnavailable without the library."""
        return await self._guard.acall(validate, frame, suite, samples, deadline=self._settings.deadline)
