"""What a shell offers when the user presses Tab."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from e2i.check.codes import CODES
from e2i.cli.main import e2i
from project import ENGINE

BOTH = (("main", "e2i", "_E2I_COMPLETE"), ("main_run", "e2i-run", "_E2I_RUN_COMPLETE"))


def completed(words: str) -> list[str]:
    """The answers to Tab at the end of a command line, as bash gets them: type, value."""
    environ = {"_E2I_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    answer = CliRunner().invoke(e2i, prog_name="e2i", env=environ)
    return answer.stdout.split()


@pytest.mark.parametrize(
    "words", ["validate sp", "validate a.yaml sp", "plan sp", "run sp", "fix sp", "diff a.yaml sp", "init --from sp"]
)
def test_files_are_completed_by_the_shell(words: str) -> None:
    assert completed(f"e2i {words}") == ["file,sp"]


def test_commands_options_actions_and_codes_are_completed() -> None:
    assert completed("e2i pl") == ["plain,plan"]
    assert completed("e2i plan --fo") == ["plain,--format"]
    assert completed("e2i catalog mlflow.re") == ["plain,mlflow.register"]
    assert completed("e2i explain unknown-a") == [
        f"plain,{code}" for code in sorted(CODES) if code.startswith("unknown-a")
    ]


@pytest.mark.parametrize(("function", "program", "variable"), BOTH)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_program_writes_the_lines_for_a_shell(function: str, program: str, variable: str, shell: str) -> None:
    code = f"import sys; from e2i.cli import main; sys.argv = [{program!r}]; main.{function}()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ENGINE), variable: f"{shell}_source"},
        capture_output=True,
        text=True,
        check=False,
    )
    if shell == "bash" and not done.stdout:
        pytest.skip(done.stderr)  # no bash, or one that is too old
    assert (done.returncode, f"{variable}={shell}_complete" in done.stdout) == (0, True), done.stderr
