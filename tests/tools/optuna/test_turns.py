"""Turns among the processes of one machine; those among stores are tested against a server, in ``tests/live``."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from e2i.tools.optuna.turns import FileTurn, ServerTurn

HOLDS = """
import sys, pathlib
from e2i.tools.optuna.turns import FileTurn
assert FileTurn(pathlib.Path(sys.argv[1]), "s").take()
print("taken", flush=True)
input()
"""


def test_one_at_a_time_has_the_turn_at_a_study(tmp_path: Path) -> None:
    with closing(FileTurn(tmp_path, "s")) as first, closing(FileTurn(tmp_path, "s")) as second:
        assert first.take()
        assert not second.take()
        with closing(FileTurn(tmp_path, "another")) as other:
            assert other.take()
    with closing(FileTurn(tmp_path, "s")) as third:
        assert third.take()


def test_a_process_that_dies_gives_its_turn_back(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"taken\n"
        with closing(FileTurn(tmp_path, "s")) as turn:
            assert not turn.take()
            holder.kill()
            holder.wait()
            assert turn.take()


def test_a_driver_that_is_missing_is_noticed_before_anything_is_asked() -> None:
    with pytest.raises(ImportError):
        ServerTurn("postgresql+pg8000://127.0.0.1:1/x", "s", seconds=5)
