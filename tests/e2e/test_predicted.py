"""The shipped specs: what ``check`` foresees of the steps' outputs, held against what the runs really gave."""

from __future__ import annotations

from typing import Any

import pytest

import prediction
from e2e.conftest import COMPARISON, CONVERSION, FLIGHTS, VOLUME
from e2e.sandbox import Run
from e2i.workspace.files import WorkspaceFiles
from e2i.workspace.paths import Roots


@pytest.mark.parametrize(
    ("name", "command"),
    [("flights", FLIGHTS), ("conversion", CONVERSION), ("comparison", COMPARISON), ("volume", VOLUME)],
)
def test_columns_and_types_come_true(name: str, command: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(name)
    spec, *options = command
    params: dict[str, Any] = {
        key: int(value) for key, _, value in (text.partition("=") for text in options if text != "-p")
    }
    workspace = run.sandbox.workspace
    expanded, known = prediction.predict((workspace / spec).read_bytes(), WorkspaceFiles(Roots(workspace)), params)
    assert known.keys() == run.record["steps"].keys() == expanded.nodes.keys()
    for step in known:
        assert list(prediction.untrue(known[step], run.outputs(step))) == []


@pytest.mark.parametrize("name", ["flights", "conversion"])
def test_the_tables_that_models_learn_from_are_foreseen(name: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(name)
    workspace = run.sandbox.workspace
    spec = workspace / (FLIGHTS if name == "flights" else CONVERSION)[0]
    _, known = prediction.predict(spec.read_bytes(), WorkspaceFiles(Roots(workspace)))
    for output in ("train", "validation", "test"):
        assert prediction.columns(known["split"], output) == list(run.frame("split", output).columns)
    model = known["train"].inside["model"][0].known
    assert getattr(model, "features", None) == tuple(run.outputs("train")["model"]["features"])
