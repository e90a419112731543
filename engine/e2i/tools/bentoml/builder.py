"""Build one Bento in a process of its own. In: an order on the standard input. Out: nothing, or an error as JSON.

Run as ``python -P -s builder.py PARENT`` for a program: to import BentoML takes a second, in which Python would stop
the program's event loop again and again, and fixes BentoML's home for the whole process. Ends with its parent.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from e2i import startup
from e2i.errors import StepError, ToolUnavailable
from e2i.tools.bentoml.build import Recipe, build
from e2i.tools.bentoml.contents import Contents
from e2i.tools.bentoml.parent import follow


class Order(Struct, frozen=True):
    """What ``build`` takes."""

    home: Path
    tag: str
    digest: str
    contents: Contents
    recipe: Recipe


class Failure(Struct, frozen=True):
    """The error of a build."""

    message: str
    code: str
    hint: str | None = None


def build_apart(
    environ: Mapping[str, str], seconds: float, home: Path, tag: str, digest: str, contents: Contents, recipe: Recipe
) -> None:
    """Build the Bento as ``build`` does, in another process. Raises StepError; ToolUnavailable after ``seconds``."""
    order = msgspec.json.encode(Order(home.resolve(), tag, digest, contents, recipe), enc_hook=str)
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-s", __file__, str(os.getpid())],
            input=order,
            capture_output=True,
            env={**environ, "BENTOML_HOME": str(home.resolve())},
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolUnavailable("bentoml", f"{tag} was not built within {seconds:g} s", code="deadline-missed") from error
    if done.returncode == 0:
        return
    last = done.stdout.splitlines()[-1:] or [b""]
    try:
        failure = msgspec.json.decode(last[0], type=Failure)
    except msgspec.DecodeError:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no output"]
        raise StepError(
            f"building {tag} ended with exit code {done.returncode}: {lines[-1][:300]}", code="bento-failed"
        ) from None
    raise StepError(failure.message, code=failure.code, hint=failure.hint)


def _read(kind: type[Any], value: Any) -> Any:
    return Path(value) if kind is Path else value


def main() -> int:
    """Execute the order; return the exit code."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order, dec_hook=_read)
    try:
        with startup.without_collection():
            build(order.home, order.tag, order.digest, order.contents, order.recipe)
    except StepError as error:
        sys.stdout.write("\n" + msgspec.json.encode(Failure(error.message, error.code, error.hint)).decode())
        return 1
    return 0


if __name__ == "__main__":
    follow(int(sys.argv[1]))
    startup.exit_now(main())
