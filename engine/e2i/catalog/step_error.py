"""The error of a step as data: in events, in the records of a run and in telemetry."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from e2i.documents import Element


class ErrorDocument(Element, frozen=True):
    """The error of a failed step."""

    code: Annotated[str, Meta(description="What kind of error: `e2i explain CODE`.")]
    message: Annotated[str, Meta(description="Description for people.")]
    hint: Annotated[str | None, Meta(description="What to do about it.")] = None
    details: Annotated[Any, Meta(description="Data of the action about the error, such as failed checks.")] = None
    outage: Annotated[
        Literal[True] | UnsetType,
        Meta(description="True if the tool was unavailable and may be back later, else absent."),
    ] = UNSET
