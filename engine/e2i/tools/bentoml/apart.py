"""Use BentoML in a process of its own. In: a script and an order. Out: its answer, or its error.

For programs: to import BentoML takes a second, in which Python would stop the program's event loop again and again, and
it fixes BentoML's home for the whole process. The order comes on the standard input, so no secret is in an argument.
The process ends with its parent.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from e2i import startup
from e2i.errors import AuthenticationFailed, E2IError, StepError, ToolUnavailable
from e2i.tools.bentoml.parent import follow

O = TypeVar("O")  # noqa: E741
A = TypeVar("A")


class Failure(Struct, frozen=True, tag="failure"):
    """The error of an order."""

    message: str
    code: str
    hint: str | None
    kind: str
    """``down``, ``denied`` or ``refused``."""


class Success(Struct, frozen=True, tag="success"):
    """The answer to an order."""

    answer: msgspec.Raw


def call(script: str, order: Struct, answer: type[A], environ: Mapping[str, str], home: Path, seconds: float) -> A:
    """Return the answer to the order. Raises StepError, and ToolUnavailable, also after ``seconds``."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-s", script, str(os.getpid())],
            input=msgspec.json.encode(order, enc_hook=str),
            capture_output=True,
            env={**environ, "BENTOML_HOME": str(home.resolve()), "BENTOML_DO_NOT_TRACK": "true"},
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolUnavailable(
            "bentoml", f"BentoML did not finish within {seconds:g} s", code="deadline-missed"
        ) from error
    last = done.stdout.splitlines()[-1:] or [b""]
    try:
        found = msgspec.json.decode(last[0], type=Success | Failure)
    except msgspec.DecodeError:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no output"]
        raise StepError(
            f"BentoML ended with exit code {done.returncode}: {lines[-1][:300]}", code="bento-failed"
        ) from None
    if isinstance(found, Success):
        return msgspec.json.decode(found.answer, type=answer)
    match found.kind:
        case "down":
            raise ToolUnavailable("bentoml", found.message, code=found.code, hint=found.hint)
        case "denied":
            raise AuthenticationFailed("bentoml", found.message, hint=found.hint)
        case _:
            raise StepError(found.message, code=found.code, hint=found.hint)


def main(order: type[O], function: Callable[[O], Any]) -> None:
    """Execute the order in this process, print the answer, and exit."""
    follow(int(sys.argv[1]))
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=order, dec_hook=_read)
    try:
        with startup.without_collection():
            found: Success | Failure = Success(msgspec.Raw(msgspec.json.encode(function(given))))
    except AuthenticationFailed as error:
        found = _failure(error, "denied")
    except ToolUnavailable as error:
        found = _failure(error, "down")
    except StepError as error:
        found = _failure(error, "refused")
    sys.stdout.write("\n" + msgspec.json.encode(found).decode())
    startup.exit_now(0)


def _failure(error: E2IError, kind: str) -> Failure:
    return Failure(error.message, error.code, error.hint, kind)


def _read(kind: type[Any], value: Any) -> Any:
    return Path(value) if kind is Path else value
