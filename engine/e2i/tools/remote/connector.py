"""Open the locations of the settings, each behind its own circuit breaker. In: a name, a key. Out: files, digests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from msgspec.structs import replace

from e2i.errors import BadInput, ToolUnavailable
from e2i.resilience.circuits import breaker_of
from e2i.resilience.guard import Guard
from e2i.spec import suggest
from e2i.tools.remote import Location, Settings

T = TypeVar("T")


class Store(Protocol):
    """A location. Methods raise StepError, Refused, ToolUnavailable, and OSError when it cannot be reached."""

    def fetch(self, key: str, path: Path) -> None:
        """Write the content of a key to a file."""

    def abandon(self) -> None:
        """End the call that is running in another thread."""


class Remote:
    """The locations of this environment."""

    tool: ClassVar[str] = "remote"

    def __init__(self, settings: Settings, guard: Guard, home: Path) -> None:
        self._settings = settings
        self._guard = guard
        self._home = home

    def fetch(self, name: str, key: str, path: Path) -> None:
        """Write the content of a key to a file."""
        from e2i.tools.remote.https import HttpsLocation
        from e2i.tools.remote.objects import ObjectLocation

        location = self._location(name)
        kind: type[HttpsLocation | ObjectLocation] = HttpsLocation if location.kind == "https" else ObjectLocation
        store: Store = kind(location, self._settings.deadline)
        self._call(name, location, store, store.fetch, key, path)

    def digest(self, name: str, key: str) -> str | None:
        """Return the SHA-256 of the content of a key in an object store; None when there is none."""
        found: str | None = self._objects(name, lambda store: store.digest, key)
        return found

    def put(self, name: str, path: Path, key: str) -> None:
        """Put a file to an object store."""
        if self._location(name).read_only:
            raise BadInput(
                f'the location "{name}" is only for reading',
                code="policy-location",
                hint="the operator sets read_only: false in `tools: remote:`",
            )
        self._objects(name, lambda store: store.put, path, key)

    def _objects(self, name: str, method: Callable[[Any], Callable[..., T]], *args: Any) -> T:
        from e2i.tools.remote.objects import ObjectLocation

        location = self._location(name)
        store = ObjectLocation(location, self._settings.deadline)
        return self._call(name, location, store, method(store), *args)

    def _call(self, name: str, location: Location, store: Store, function: Callable[..., T], *args: Any) -> T:
        breaker = breaker_of(self._home.parent, self.tool, self._settings, name)
        guard = replace(self._guard, breaker=breaker, classify=_is_outage)
        try:
            return guard.call(function, *args, deadline=location.timeout, idempotent=True)
        except ToolUnavailable as error:
            if error.code == "deadline-missed":
                store.abandon()
            raise

    def _location(self, name: str) -> Location:
        found = self._settings.locations.get(name)
        if found is None:
            hint = suggest.hint(name, self._settings.locations, most=12)
            raise BadInput(f'the settings have no location "{name}"', code="unknown-location", hint=hint)
        return found


def _is_outage(error: BaseException) -> bool | None:
    """Return whether an exception means that the location cannot be reached; None for those of other code."""
    from http.client import HTTPException

    return True if isinstance(error, (OSError, HTTPException)) else None
