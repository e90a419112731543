"""One ``database.write`` in a process of its own, which dies where its arguments say. Run by ``test_delivered_once``."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa

from context import LocalContext
from e2i.settings import Settings
from e2i.tools.database import WriteParams, actions
from e2i.tools.database.session import Calls

ROWS = 150_000
"""More than two batches."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(root: str, url: str, into: str, mode: Any, kind: str, where: str) -> None:
    """``kind``: ``before`` or ``after`` the call of that number to the database, or at a ``time`` in seconds."""
    connections = {"shop": {"url": url, "read_only": False}}
    ctx = LocalContext(Path(root), settings=Settings(tools={"database": {"connections": connections}}))
    rows = ctx.table(pa.table({"id": range(ROWS), "text": [f"row {number}" for number in range(ROWS)]}))
    genuine, calls = Calls.__call__, itertools.count(1)

    def mortal(self: Calls, function: Any, *args: Any, **kwargs: Any) -> Any:
        mine = kind != "time" and next(calls) == int(where)
        if mine and kind == "before":
            die()
        answer = genuine(self, function, *args, **kwargs)
        if mine:
            die()
        return answer

    Calls.__call__ = mortal  # type: ignore[method-assign]  # this process is made to die
    if kind == "time":
        threading.Timer(float(where), die).start()
    key = ("id",) if mode == "upsert" else ()
    actions.write(WriteParams(table=rows, connection="shop", into=into, mode=mode, key=key), ctx)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
