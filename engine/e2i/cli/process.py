"""The process of a command: it starts without what it will not use, and one that only looked ends without tidying up.

In: the command. Out: the process's exit code. On a spec of ten steps this saves a quarter of what ``e2i validate``
costs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from e2i import startup
from e2i.cli import streams
from e2i.errors import Exit


def own(command: Callable[[], None], *, alone: bool) -> None:
    """Carries out the command as what this process is for.

    ``alone``: only our own models are used in this process, and nothing of it goes on when it is over.
    """
    if alone:
        startup.skip_plugin_search()
    startup.collect_rarely()
    _fill_standard_descriptors()
    sys.stdout, sys.stderr = streams.patient(sys.stdout), streams.patient(sys.stderr)
    try:
        command()
    except SystemExit as end:
        if failure := streams.failure(sys.stdout):
            print(f"error: standard output cannot be written: {failure} [not-writable]", file=sys.stderr)
            end.code = end.code or int(Exit.UNAVAILABLE)
        if alone and isinstance(end.code, int):
            startup.exit_now(end.code)
        raise


def _fill_standard_descriptors() -> None:
    """Opens those of standard input, output and error that were closed before: else the first file that is opened, such
    as the journal, would take the number, and a child would write to it.
    """
    opened = 0
    while opened <= 2:  # the lowest free number is taken first
        opened = os.open(os.devnull, os.O_RDWR)
    os.close(opened)
