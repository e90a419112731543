"""Models as MLflow saves them, Bentos of them, and clients of BentoML for a folder: for tests of what serves them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from e2i.resilience.breaker import Breaker
from e2i.resilience.guard import Guard
from e2i.tools.bentoml import BentoMLSettings
from e2i.tools.bentoml.build import Recipe, build, ensure_bento, use_here
from e2i.tools.bentoml.connector import GuardedBentoML
from e2i.tools.bentoml.contents import of_mlflow
from e2i.tools.bentoml.processes import holders
from e2i.workers.environment import for_worker
from project import LONGEST, WITHIN

NAMES = ["calls", "samples", "tenure"]


def table(rows: int = 120, classes: int = 2) -> tuple[pd.DataFrame, pd.Series[int]]:
    """Three numeric features and a target that depends on them."""
    random = np.random.default_rng(3)
    frame = pd.DataFrame(random.normal(size=(rows, 3)), columns=NAMES)
    score = frame["calls"] + 0.5 * frame["tenure"]
    return frame, pd.Series(pd.qcut(score, classes, labels=False).astype("int64"), name="target")


def saved(flavour: str, model: Any, folder: Path, **more: Any) -> Path:
    """The model in a folder, as ``mlflow.FLAVOUR.save_model`` writes it."""
    from importlib import import_module

    import_module(f"mlflow.{flavour}").save_model(model, str(folder), pip_requirements=["numpy"], **more)
    return folder


def linear(folder: Path, flip: bool = False) -> Path:
    """A model that is loaded fast. The one that is flipped predicts the opposite."""
    from sklearn.linear_model import LogisticRegression

    frame, target = table()
    return saved("sklearn", LogisticRegression().fit(frame, 1 - target if flip else target), folder)


def bento(home: Path, model: Path, name: str, version: str) -> str:
    assert use_here(home)
    return ensure_bento(home, of_mlflow(model), Recipe(name, version), build).tag


def client(home: Path, **settings: Any) -> GuardedBentoML:
    """A client as a program has one: its endpoints' processes outlive it."""
    known = BentoMLSettings(**{"deadline": WITHIN, "ready_deadline": LONGEST, **settings})
    environ = for_worker(os.environ, threads=1, store=home.parent)
    return GuardedBentoML(known, Guard("bentoml", Breaker("bentoml"), known.deadline), home, environ)


def processes(home: Path, name: str) -> set[int]:
    """The processes of an endpoint, by the file that all of them hold."""
    return holders(home / "endpoints" / name / "alive")


def using(home: Path) -> set[int]:
    """The processes whose environment names this home, however they were started."""
    found = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                environ, state = (process / "environ").read_bytes(), (process / "stat").read_text().rpartition(")")[2]
            except OSError:
                continue
            if f"BENTOML_HOME={home.resolve()}\0".encode() in environ and state.split()[0] != "Z":
                found.add(int(process.name))
    return found


@contextmanager
def ended(home: Path, *names: str) -> Iterator[None]:
    """Leaves no endpoint behind."""
    try:
        yield
    finally:
        for name in names:
            if (home / "endpoints" / name).is_dir():
                client(home).endpoints.stop(name)
