"""Queries of ``e2i doctor`` to services: the pure half. ``e2i.tools.<tool>.asking.questions(settings)`` lists them."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct


class Question(Struct, frozen=True):
    """One query that a service answers only with valid credentials.

    ``of`` names the service within the tool, ``ask`` sends the query and returns a short result, ``seconds`` is its
    time limit. Nothing is written to the service.
    """

    of: str
    ask: Callable[[], str]
    seconds: float
    imports: tuple[str, ...] = ()
    """Modules that it needs. Importing them does not count towards the time limit."""
