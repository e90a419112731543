"""Keep warnings from step logs that only authors of libraries can act on. In: a warning. Out: whether it is printed.

Workers ignore warnings by default, but some libraries switch them on for all others when they are imported. A warning
about the user's own code, and every warning of another category, is printed as the library decides.
"""

from __future__ import annotations

import sys
import sysconfig
import warnings
from functools import cache
from typing import TextIO

CATEGORIES: tuple[type[Warning], ...] = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
"""Warnings about interfaces that will change."""


def filter_warnings() -> None:
    """Drops, from now on, warnings of ``CATEGORIES`` about code of installed libraries and of Python itself."""
    shown = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not is_noise(category, filename):
            shown(message, category, filename, lineno, file, line)

    warnings.showwarning = show


def is_noise(category: type[Warning], filename: str) -> bool:
    """Returns whether a warning about the code in that file is of use only to the author of a library."""
    return issubclass(category, CATEGORIES) and filename.startswith((*_libraries(), "<frozen "))


@cache
def _libraries() -> tuple[str, ...]:
    """Returns the folders of installed libraries and of Python's own."""
    paths = sysconfig.get_paths()
    named = {paths[name] for name in ("purelib", "platlib", "stdlib")}
    return tuple(sorted(f"{path}/" for path in (*named, *(path for path in sys.path if path.endswith("-packages")))))
