"""A model's answers are the same in training, in model.predict, in MLflow without e2i, and over HTTP.

For every algorithm with every recipe. Shared by the models: the process that loads them where e2i is not installed, and
the HTTP server (``bentos_over_http``). Each has an MLflow model and a Bento of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

import elsewhere
from context import LocalContext
from e2i.catalog.artifacts import Model, Recipe
from e2i.estimators import fitting, saved
from e2i.estimators.algorithms import ALGORITHMS
from e2i.estimators.request import Request
from e2i.tools.mlflow.models import save_scoring
from e2i.tools.model.actions import predict
from e2i.tools.model.params.applying import PredictParams
from e2i.tools.model.params.training import TrainParams
from learning import RECIPES, WHEN, graded, noted, others, table

pytest.importorskip("mlflow")
SERVER = Path(elsewhere.__file__).with_name("bentos_over_http.py")
OF_TASK = {"classification": ("binary", "three"), "regression": ("amount",), "ranking": ("grade",)}
Case = tuple[str, str, str]
"""An algorithm, a target and a recipe."""


def grid() -> Iterator[Case]:
    """Every algorithm with every recipe; its targets take turns."""
    for number, (algorithm, about) in enumerate(ALGORITHMS.items()):
        targets = [target for task in about.tasks for target in OF_TASK[task]]
        turns = cycle([*targets[number % len(targets) :], *targets[: number % len(targets)]])
        yield from ((algorithm, next(turns), name) for name in RECIPES)


GRID = list(grid())
SAMPLE = GRID[:: len(RECIPES) + 1]
"""Each algorithm once, with different recipes."""


def trained(ctx: LocalContext, case: Case) -> tuple[Model, pd.DataFrame, np.ndarray[Any, Any]]:
    """A model as ``model.train`` makes it, rows that it was not fitted to, and its answers before it is saved."""
    algorithm, target, name = case
    frame, held = noted(table(200)), noted(table(60, seed=1))
    held.loc[0, "kind"] = "never seen"
    steps = Recipe(digest="sha256:" + "0" * 64, steps=[WHEN, *RECIPES[name]])
    size = {name: 8 for name in ("n_estimators", "iterations", "max_iter") if name in ALGORITHMS[algorithm].params}
    size = size if ALGORITHMS[algorithm].family != "linear" else {}
    asked: Any = {"algorithm": algorithm, "prepare": steps, "params": size, "exclude": others(target)}
    if target == "grade":
        frame, held = (graded(rows) for rows in (frame, held))
        asked |= {"objective": "rank", "group": "query"}
    params = TrainParams(table=ctx.table(frame), target=target, **asked)
    prepared = Request.of(params, 7).prepare(frame, held, threads=1)
    model = fitting.fit(prepared, size, seed=7, threads=1)
    assert prepared.validation is not None
    answers = model.scorer.output(prepared.validation.matrix)
    return saved.keep_model(model, ctx), held[model.scorer.features], answers


def predicted(ctx: LocalContext, model: Model, rows: pd.DataFrame) -> np.ndarray[Any, Any]:
    """The answers of ``model.predict``, in the form of ``Scorer.output``."""
    found = ctx.frame(predict(PredictParams(model=model, table=ctx.table(rows), keep=()), ctx).table)
    shares = [name for name in found if name.startswith("probability")]
    return found[shares or ["prediction"]].to_numpy(dtype=np.float64).squeeze()


def body(rows: pd.DataFrame) -> dict[str, Any]:
    """The rows as JSON, in the order of the features: times as ISO 8601, missing values as null, numbers exactly."""

    def plain(value: Any) -> Any:
        if pd.isna(value):
            return None
        return value.isoformat() if isinstance(value, pd.Timestamp) else getattr(value, "item", lambda: value)()

    return {"input": [[plain(value) for value in row] for row in rows.itertuples(index=False)]}


@contextmanager
def server(home: Path, cases: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """The address of a server of all these models; it ends with the block."""
    command = [sys.executable, str(SERVER), str(home)]
    with (home.parent / "server.log").open("w+") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdin is not None and process.stdout is not None
        process.stdin.writelines(f"{line}\n" for line in (len(cases), *map(json.dumps, cases)))
        process.stdin.flush()
        try:
            port = process.stdout.readline()
            log.seek(0)
            assert port, log.read()[-3000:]
            yield f"http://127.0.0.1:{int(port)}"
        finally:
            process.stdin.close()
            process.wait(timeout=120)
            process.stdout.close()


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param(SAMPLE, marks=pytest.mark.slow, id="sample"),
        pytest.param(GRID, marks=[pytest.mark.sweep, pytest.mark.timeout(5_400)], id="grid"),
    ],
)
def test_a_model_answers_alike_in_training_in_a_batch_without_e2i_and_over_http(
    ctx: LocalContext, tmp_path: Path, cases: list[Case]
) -> None:
    assert len(GRID) >= 200
    models, wanted, bodies = [], {}, {}
    for number, case in enumerate(cases):
        model, rows, answers = trained(ctx, case)
        name = f"m{number}"
        np.testing.assert_allclose(predicted(ctx, model, rows), answers, rtol=0, atol=1e-9, err_msg=str(case))
        save_scoring(ctx.open(model), tmp_path / name)
        rows.to_feather(tmp_path / f"{name}.feather")
        np.save(tmp_path / f"{name}.npy", answers)
        files = {"rows": f"{tmp_path}/{name}.feather", "answers": f"{tmp_path}/{name}.npy", "uri": f"{tmp_path}/{name}"}
        about = {"flavour": ALGORITHMS[case[0]].flavour, "folder": str(ctx.open(model)), "digest": model.digest}
        models.append({"name": name, **about, **files})
        wanted[name], bodies[name] = answers, body(rows)
    elsewhere.compare(elsewhere.environment(tmp_path / "fresh"), models, timeout=3_000)
    with server(tmp_path / "bentos", models) as address, httpx.Client(base_url=address, timeout=300) as client:
        for case, (name, answers) in zip(cases, wanted.items(), strict=True):
            response = client.post(f"/{name}/predict", json=bodies[name])
            assert response.status_code == 200, (case, response.text)
            answer = response.json()
            found = np.asarray(answer["predictions" if answer["probabilities"] is None else "probabilities"])
            found = found[:, 1] if found.ndim == 2 and answers.ndim == 1 else found
            np.testing.assert_allclose(found, answers, rtol=0, atol=1e-9, err_msg=str(case))
