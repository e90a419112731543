"""Report calls of language models from a function that ``python.call`` runs. In: a model, tokens. Out: a span in Opik.

``e2i.llm_call`` is the public name. Outside of a step nothing is recorded, so the function runs as it is in tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec.structs import replace

from e2i.telemetry.bodies import LLMCall

TEXT_LIMIT = 20_000
"""Maximum number of characters of a prompt or an answer that is recorded."""

_record: ContextVar[Callable[[LLMCall], None] | None] = ContextVar("record", default=None)


class OpenCall:
    """A call that is going on. ``input`` and ``output`` are the texts to show; empty: they are not recorded."""

    def __init__(self) -> None:
        self.input = ""
        self.output = ""
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.cost: float | None = None
        """US dollars. None: Opik's price of the model, if it has one."""

    def tokens(self, input: int, output: int) -> None:  # noqa: A002 - the words of the APIs
        """Set the tokens that were used. Raises ValueError for negative ones."""
        if input < 0 or output < 0:
            raise ValueError(f"tokens are counts from 0 on, not {input} and {output}")
        self.input_tokens, self.output_tokens = int(input), int(output)


@contextmanager
def llm_call(model: str, provider: str | None = None, name: str = "llm_call") -> Iterator[OpenCall]:
    """Record the block as one call of a language model: times, tokens, texts, cost, and the error that leaves it.

    It is a span below the step's in Opik, delivered through the outbox. A reused step reports none: it cost nothing.
    Other threads record nothing, unless they run in a copy of the context (``contextvars.copy_context``).
    """
    call, began, error = OpenCall(), time.time_ns(), None
    try:
        yield call
    except BaseException as raised:
        error = f"{type(raised).__name__}: {raised}"
        raise
    finally:
        record = _record.get()
        if record is not None:
            record(
                LLMCall(
                    step="",
                    name=name,
                    model=model,
                    provider=provider,
                    input=call.input,
                    output=call.output,
                    input_tokens=call.input_tokens,
                    output_tokens=call.output_tokens,
                    cost=call.cost,
                    error=error,
                    started_ms=began // 1_000_000,
                    ended_ms=time.time_ns() // 1_000_000,
                )
            )


def shortened(call: LLMCall) -> LLMCall:
    """Returns the call as it is recorded. Search for secrets first: half a secret would not be found."""
    return replace(
        call,
        input=call.input[:TEXT_LIMIT],
        output=call.output[:TEXT_LIMIT],
        error=call.error and call.error[:TEXT_LIMIT],
    )


@contextmanager
def recording(record: Callable[[LLMCall], None]) -> Iterator[None]:
    """Pass the calls of the block to ``record``."""
    token = _record.set(record)
    try:
        yield
    finally:
        _record.reset(token)
