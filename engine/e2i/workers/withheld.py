"""Mask the secrets and the credentials that an environment has. In: settings and variables. Out: texts without them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from e2i.catalog.variables import SHARED_CREDENTIALS
from e2i.resilience.guard import without_accounts
from e2i.workers.environment import credentials
from e2i.workers.masking import Masker

if TYPE_CHECKING:
    from e2i.settings import Settings


class Withheld:
    """The secrets and credentials of some tools, in their settings and in the variables that are set now."""

    def __init__(self, settings: Settings, tools: Iterable[str], environ: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._tools = frozenset({*tools, *settings.tools, *settings.sinks})
        self._environ = os.environ if environ is None else environ
        self._masker = Masker(())
        self._known: frozenset[str] = frozenset()
        self._configured: set[str] | None = None

    def text(self, text: str) -> str:
        """Returns a text, which may have been cut, without the credentials and without the accounts of addresses."""
        return without_accounts(self.masker().cut(text))

    def data(self, value: Any) -> Any:
        """Returns plain data without the credentials."""
        return self.masker().data(value)

    def add(self, settings: Settings) -> None:
        """Adds the credentials of other settings."""
        self._configured = self._found() | settings.credentials(self._tools)

    def masker(self) -> Masker:
        """Returns the masker of what is set now; the same one while nothing else is set."""
        variables = (*self._settings.secrets.values(), *SHARED_CREDENTIALS)
        known = frozenset(
            {
                *self._found(),
                *credentials(self._environ, self._tools, self._settings.registry),
                *filter(None, map(self._environ.get, variables)),
            }
        )
        if known != self._known:
            self._masker, self._known = Masker(known), known
        return self._masker

    def _found(self) -> set[str]:
        """Returns the credentials in the settings, which are searched when they are first needed."""
        if self._configured is None:
            self._configured = self._settings.credentials(self._tools)
        return self._configured
