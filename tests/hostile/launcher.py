"""Run e2i's command many times, each in a process of its own that is forked from one which has imported the program.

In: JSON lines with ``arguments``, ``folder``, ``environ`` and ``out``, the file for all that is printed. Out: a JSON
line each, with the exit code, the seconds of processor time of the command and all that it started, and its memory.
Importing the program takes a tenth of a second of processor time: more than most commands take.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from e2i import startup

startup.skip_plugin_search()

from e2i import api  # noqa: E402, F401 - the commands import it when they are called
from e2i.cli import main  # noqa: E402
from e2i.cli.commands import runs, specs  # noqa: E402, F401


def carry_out(arguments: list[str], folder: str, environ: dict[str, str], out: str) -> dict[str, Any]:
    """Runs one command to its end."""
    pid = os.fork()
    if pid == 0:
        _become(arguments, folder, environ, out)
    peak, ended = 0.0, 0
    while not ended:
        peak = max(peak, _memory(pid))
        ended, status, used = os.wait4(pid, os.WNOHANG)
        time.sleep(0.002)
    return {"code": os.waitstatus_to_exitcode(status), "cpu": used.ru_utime + used.ru_stime, "rss_mb": peak}


def _become(arguments: list[str], folder: str, environ: dict[str, str], out: str) -> NoReturn:
    """Becomes the command, limited so that a row that goes wrong harms nobody."""
    try:
        os.setsid()
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        for number, path, mode in ((0, os.devnull, os.O_RDONLY), (1, out, os.O_WRONLY | os.O_APPEND)):
            opened = os.open(path, mode)
            os.dup2(opened, number)
            os.close(opened)
        os.dup2(1, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
        sys.argv = ["e2i", *arguments]
        main.main()
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)
    os._exit(0)


def _memory(pid: int) -> float:
    """The most memory (MB) that a process has had. Not ``ru_maxrss``: that begins with the size of its parent."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(carry_out(**json.loads(line))), flush=True)
