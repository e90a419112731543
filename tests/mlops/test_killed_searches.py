"""A search that is killed twice by ``kill -9`` ends with exactly the trials asked for, as one that was not killed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import optuna
import pytest

from e2i.tools.optuna.search import Sampler
from live.servers import Postgres
from project import until

TRIALS = 18
NUMBERS = {"C": (0.01, 9.0), "tol": (1e-4, 1e-2)}
FINITE = {"C": [0.01 * 2**power for power in range(6)], "tol": [1e-4, 1e-3, 1e-2]}
PROGRAM = """
import asyncio, json, sys, time
import numpy as np
from sklearn.linear_model import LogisticRegression
from e2i.mlops.optuna import OptunaConfig, OptunaTuner

r = np.random.default_rng(0)
X = r.normal(size=(200, 3)); y = (X[:, 0] + r.normal(size=200) > 0).astype(int)

def model(C, tol):
    with open("tried", "a") as file:
        file.write(f"{C!r},{tol!r}\\n")
    time.sleep(float(sys.argv[3]))
    return LogisticRegression(C=C, tol=tol)

space = {name: value if len(value) > 2 else tuple(value) for name, value in json.loads(sys.argv[4]).items()}
tuner = OptunaTuner(OptunaConfig(study_storage=sys.argv[2]) if sys.argv[2] else None)
best = asyncio.run(tuner.optimize(
    model, space, X[:100], y[:100], X[100:], y[100:], n_trials=TRIALS, study_name="s", seed=5, sampler=sys.argv[1]))
print(json.dumps([dict(best), best.value, [[t.number, t.params, t.value] for t in best.trials]]))
""".replace("TRIALS", str(TRIALS))


def begun(folder: Path, sampler: str, address: str, seconds: float) -> subprocess.Popen[str]:
    (folder / ".git").mkdir(parents=True, exist_ok=True)
    (folder / "program.py").write_text(PROGRAM, "utf-8")
    space = json.dumps(FINITE if sampler == "grid" else NUMBERS)
    command = [sys.executable, "program.py", sampler, address, str(seconds), space]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> Any:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out)


def tried(folder: Path) -> int:
    file = folder / "tried"
    return len(file.read_text("utf-8").split()) if file.exists() else 0


@pytest.mark.sweep
@pytest.mark.parametrize("storage", ["embedded", "postgres"])
@pytest.mark.parametrize("sampler", get_args(Sampler))
def test_a_search_that_is_killed_twice_ends_as_one_that_was_not(
    storage: str, sampler: str, workspace: Path, request: pytest.FixtureRequest
) -> None:
    if sampler == "gp" and find_spec("torch") is None:
        pytest.skip("torch is not installed")
    server: Postgres | None = request.getfixturevalue("postgres") if storage == "postgres" else None
    address, folder = server.database() if server else "", workspace / "killed"
    for more in (4, 5):
        before = tried(folder)
        process = begun(folder, sampler, address, 0.4)
        assert until(lambda: tried(folder) >= before + more, 120)  # noqa: B023 - called here
        process.kill()  # in the middle of a trial
        process.communicate()
        assert tried(folder) < TRIALS
    resumed = ended(begun(folder, sampler, address, 0))
    assert TRIALS <= tried(folder) <= TRIALS + 2  # a trial that was killed is tried again
    assert resumed == ended(begun(workspace / "other", sampler, "", 0))
    assert [number for number, _, _ in resumed[2]] == list(range(TRIALS))
    if server is not None:
        study = optuna.load_study(study_name="s", storage=address.replace("postgresql", "postgresql+psycopg"))
        assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * TRIALS
