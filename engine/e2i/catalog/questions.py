"""What ``e2i doctor`` asks a service: the pure half. ``e2i.tools.<tool>.asking.questions(settings)`` lists a tool's."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct


class Question(Struct, frozen=True):
    """One question that a service answers only to those whom it lets in.

    ``of`` names the service within the tool, ``ask`` puts the question and returns what it found in a few words,
    ``seconds`` is how long that may take as a whole. Nothing is written there.
    """

    of: str
    ask: Callable[[], str]
    seconds: float
    imports: tuple[str, ...] = ()
    """Modules that it takes; importing them does not count as waiting for the answer."""
