"""Run a module of e2i as a program, from this file's folder: ``python -P -s launch.py MODULE …``.

Processes do not inherit the location of e2i, because ``PYTHONPATH`` and the user's site-packages could replace its
code.
"""

from __future__ import annotations

import runpy
import sys

FLAGS = ("-P", "-s")
"""Search neither the current folder nor the user's own packages for modules."""
SAFE = {"PYTHONPATH": "", "PYTHONHOME": "", "PYTHONSTARTUP": "", "PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1"}
"""The same for programs that start Python themselves, such as the supervisor of a service."""


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs the module."""
    return [sys.executable, *FLAGS, __file__, module, *arguments]


if __name__ == "__main__":
    engine = __file__.rpartition("/e2i/")[0]
    if engine not in sys.path:
        sys.path.insert(0, engine)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
