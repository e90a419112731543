"""Declare the names that parameters of several actions accept."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

EndpointName = Annotated[str, StringConstraints(pattern=r"^(?:[a-z0-9][a-z0-9_-]{0,58})?[a-z0-9]$")]
FeatureName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
