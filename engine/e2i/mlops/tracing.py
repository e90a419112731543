"""Trace a program's work. In: blocks and calls. Out: spans, nested as the calls are.

The open span is a context variable. So it is the right one in tasks of asyncio, in threads that run with a copied
context, and in any number of event loops.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

from e2i.tools.opik import bridge
from e2i.tools.opik.observation import Span, SpanType
from e2i.tools.opik.recorder import Recorder

P = ParamSpec("P")
R = TypeVar("R")
AnySpan = TypeVar("AnySpan", bound=Span)
LONGEST = 200
"""Length from which the text of an argument is cut in a span."""
MOST = 20
"""Number of items from which a list of simple values is only counted."""

current: ContextVar[Span | None] = ContextVar("e2i_span", default=None)
"""The span that is open here."""


class Delivery(Protocol):
    """What the end of a span waits for."""

    def leave(self, span: Span, *, hurried: bool) -> None:
        """Waits until the span is safe. With ``hurried``, not for Opik."""

    async def aleave(self, span: Span, *, hurried: bool) -> None:
        """Does the same without blocking the event loop."""


class Opening(Generic[AnySpan]):
    """A block of work: ``with`` or ``async with`` it to open the span. One object is used once."""

    def __init__(self, begin: Callable[[], AnySpan], delivery: Delivery | None = None) -> None:
        """``begin`` makes the span. Without ``delivery``, the end does not wait for anything."""
        self._begin = begin
        self._delivery = delivery
        self._span: AnySpan | None = None
        self._before: Span | None = None
        self._token: Token[Span | None] | None = None

    def __enter__(self) -> AnySpan:
        if self._span is not None:
            raise ValueError("a span is opened once: call the method that made it again")
        self._before = current.get()
        span = self._span = self._begin()
        self._token = current.set(span)
        bridge.enter(span)
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, lines: TracebackType | None
    ) -> None:
        span = self._end(error)
        if self._delivery is not None:
            self._delivery.leave(span, hurried=not isinstance(error, Exception | None))

    async def __aenter__(self) -> AnySpan:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, lines: TracebackType | None
    ) -> None:
        span = self._end(error)
        if self._delivery is not None:
            await self._delivery.aleave(span, hurried=not isinstance(error, Exception | None))

    def _end(self, error: BaseException | None) -> AnySpan:
        assert self._span is not None
        assert self._token is not None
        bridge.leave(self._span)
        try:
            current.reset(self._token)
        except ValueError:  # opened in another context, as the fixtures of some test runners do
            current.set(self._before)
        _recorder(self._span).end(self._span, error)
        return self._span


def agent() -> str | None:
    """Returns the agent whose work this is: that of the nearest ``trace_agent`` around it."""
    span = current.get()
    return span.agent if span is not None else None


def child(name: str, *, given: Any = None, type: SpanType = "tool") -> Opening[Span] | Nothing:  # noqa: A002
    """Returns a block whose span, with the input ``given``, is below the open one; without an open one, no block."""
    above = current.get()
    if above is None:
        return Nothing()

    def begin() -> Span:
        span = _recorder(above).begin(name, above, type=type)
        span.input = given
        return span

    return Opening(begin)


class Nothing:
    """The block where no span is open."""

    def __enter__(self) -> None:
        """Does nothing."""

    def __exit__(self, *error: object) -> None:
        """Does nothing."""

    async def __aenter__(self) -> None:
        """Does nothing."""

    async def __aexit__(self, *error: object) -> None:
        """Does nothing."""


def traced(method: Callable[P, R]) -> Callable[P, R]:
    """Decorates a method of a connector, plain or async: a span ``tool.method`` when one is open, else nothing.

    The span has the arguments: simple values as they are, of others the class and the shape. A method that the policy
    forbids here raises BadCall.
    """
    signature = inspect.signature(method)

    def open_it(args: Any, kwargs: Any) -> Opening[Span] | Nothing:
        if args and hasattr(args[0], "permit"):
            args[0].permit(method.__name__, agent())
        if current.get() is None:
            return Nothing()
        tool = getattr(args[0], "tool", None) if args else None
        name = f"{tool or method.__module__.rpartition('.')[2]}.{method.__name__}"
        return child(name, given=_arguments(signature, args, kwargs))

    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
            with open_it(args, kwargs) as span:
                result = await method(*args, **kwargs)
                if span is not None:
                    span.output = shown(result)
                return result

        return cast("Callable[P, R]", awaited)

    @functools.wraps(method)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        with open_it(args, kwargs) as span:
            result = method(*args, **kwargs)
            if span is not None:
                span.output = shown(result)
            return result

    return called


def shown(value: Any) -> Any:
    """Returns a value as a span shows it: a simple one as it is, of any other the class and the shape or length."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
        case list() | tuple() if len(value) <= MOST and all(_is_simple(item) for item in value):
            return [shown(item) for item in value]
        case dict() if len(value) <= MOST and all(_is_simple(item) for item in value.values()):
            return {str(name): shown(item) for name, item in value.items()}
    name, shape = type(value).__name__, getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"{name} {shape}"
    return f"{name} of {len(value)}" if isinstance(value, list | tuple | dict | set) else name


def _is_simple(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _arguments(signature: inspect.Signature, args: Any, kwargs: Any) -> dict[str, Any]:
    """Returns the arguments of a call by name, without the object itself."""
    try:
        bound = signature.bind(*args, **kwargs).arguments
    except TypeError:  # the call itself is going to report it
        return {}
    return {name: shown(value) for name, value in bound.items() if name != "self"}


def _recorder(span: Span) -> Recorder:
    return cast("Recorder", span.recorder)
