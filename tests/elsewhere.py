"""An interpreter in which e2i is not installed, and what models answer there. In: saved models. Out: differences."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("without_e2i.py")


def environment(root: Path) -> dict[str, str]:
    """Makes a fresh interpreter with the same libraries: a ``.pth`` file leads to e2i, and is not read.

    PYTHON is its path.
    """
    venv.create(root, with_pip=False)
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "PYTHON", "E2I"))}
    return {
        **kept,
        "PATH": f"{root / 'bin'}:{kept.get('PATH', '')}",
        "PYTHONPATH": os.pathsep.join(libraries),
        "PYTHON": str(root / "bin" / "python"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def compare(environ: dict[str, str], cases: Sequence[dict[str, str]], *address: str, timeout: float = 500) -> None:
    """Loads the models there, in one process, and compares their answers with those of the cases."""
    done = subprocess.run(
        [environ["PYTHON"], str(PROGRAM), *address],
        input="\n".join(map(json.dumps, cases)),
        env=environ,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [one["name"] for one in found] == [case["name"] for case in cases]
    for one in found:
        assert one["native"] <= 1e-9 and one["function"] <= 1e-9, one
        assert len(one["kinds"]) == 1, one
