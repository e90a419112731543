"""Hostile names: each class says what is wrong with an argument, before a file, a server or a library meets it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from e2i.mlops import BentoMLService, FeastClient, GEValidator, MLflowConnector, OpikConnector, OptunaTuner
from e2i.mlops.mistakes import BadCall, content, file_path, text

HOSTILE = {
    "a lone surrogate": "a\ud800",
    "NUL": "a\x00b",
    "a line break": "a\nb",
    "an escape": "a\x1b[2Jb",
    "a next line": "a\x85b",
    "10,000 characters": "x" * 10_000,
    "nothing": "",
    "spaces": "  ",
}
ROWS = pd.DataFrame({"a": [1.0, 2.0]})
TIMES = pd.DataFrame({"id": ["x"], "event_timestamp": pd.to_datetime(["2026-01-01"], utc=True)})
CASES = [{"input": "a", "output": "b"}]
SUITE = [{"type": "expect_column_to_exist", "column": "a"}]


def search(name: str, **more: Any) -> Any:
    return OptunaTuner().optimize("XGBoost", {"max_depth": (1, 2)}, [[1.0]], [0], [[1.0]], [0], study_name=name, **more)


CALLS: dict[str, Callable[[str], Any]] = {
    "mlflow.get_or_create_experiment": lambda name: MLflowConnector().get_or_create_experiment(name),
    "mlflow.start_run(experiment_name)": lambda name: MLflowConnector().start_run(experiment_name=name),
    "mlflow.start_run(experiment_id)": lambda name: MLflowConnector().start_run(experiment_id=name),
    "mlflow.start_run(run_name)": lambda name: MLflowConnector().start_run(run_name=name),
    "mlflow.start_run(parent_run_id)": lambda name: MLflowConnector().start_run(parent_run_id=name),
    "mlflow.start_run(tags)": lambda name: MLflowConnector().start_run(tags={name: "x"}),
    "mlflow.register_model(run_id)": lambda name: MLflowConnector().register_model(name, "m"),
    "mlflow.register_model(name)": lambda name: MLflowConnector().register_model("r", name),
    "mlflow.register_model(path)": lambda name: MLflowConnector().register_model("r", "m", name),
    "mlflow.transition_model_stage": lambda name: MLflowConnector().transition_model_stage(name, "1", "Staging"),
    "mlflow.get_latest_model_version": lambda name: MLflowConnector().get_latest_model_version(name),
    "opik.trace_agent(name)": lambda name: OpikConnector().trace_agent(name, "x"),
    "opik.trace_agent(operation)": lambda name: OpikConnector().trace_agent("x", name),
    "opik.trace_llm_call": lambda name: OpikConnector().trace_llm_call(name),
    "opik.log_metric": lambda name: OpikConnector().log_metric(name, 1.0),
    "opik.log_feedback": lambda name: OpikConnector().log_feedback("t", 1.0, name),
    "opik.evaluate_agent": lambda name: OpikConnector().evaluate_agent(name, CASES, [lambda case, output: 1.0]),
    "feast.register_feature(name)": lambda name: FeastClient().register_feature(name, "g", "e", "int64"),
    "feast.register_feature(group)": lambda name: FeastClient().register_feature("f", name, "e", "int64"),
    "feast.register_feature(entity)": lambda name: FeastClient().register_feature("f", "g", name, "int64"),
    "feast.push": lambda name: FeastClient().push(name, TIMES),
    "feast.get_historical_features": lambda name: FeastClient().get_historical_features(TIMES, [name]),
    "feast.get_online_features": lambda name: FeastClient().get_online_features([{"id": "x"}], [name]),
    "feast.get_feature_statistics": lambda name: FeastClient().get_feature_statistics(name),
    "great_expectations.validate(suite)": lambda name: GEValidator().validate(ROWS, name),
    "great_expectations.validate(data)": lambda name: GEValidator().validate(name, "s"),
    "great_expectations.create_suite": lambda name: GEValidator().create_suite(name, SUITE),
    "optuna.optimize(study_name)": search,
    "optuna.optimize(metric)": lambda name: search("s", metric=name),
    "bentoml.package_model(uri)": lambda name: BentoMLService().package_model(name),
    "bentoml.package_model(name)": lambda name: BentoMLService().package_model("models:/m/1", name=name),
    "bentoml.package_model(version)": lambda name: BentoMLService().package_model("models:/m/1", version=name),
    "bentoml.deploy(tag)": lambda name: BentoMLService().deploy(name, "e"),
    "bentoml.deploy(endpoint)": lambda name: BentoMLService().deploy("b:1", name),
    "bentoml.update_traffic": lambda name: BentoMLService().update_traffic(name, 10),
    "bentoml.predict": lambda name: BentoMLService().predict(name, [[1.0]]),
    "bentoml.undeploy": lambda name: BentoMLService().undeploy(name),
}


def call(function: Callable[[str], Any], name: str) -> Any:
    async def work() -> Any:
        given = function(name)
        return await given if inspect.isawaitable(given) else given

    return asyncio.run(work())


@pytest.mark.parametrize("which", CALLS)
@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_name_is_a_bad_call_with_a_hint(workspace: Path, which: str, name: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        call(CALLS[which], name)
    assert isinstance(caught.value, BadCall), repr(caught.value)
    assert len(str(caught.value)) < 1_000
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)
    assert str(caught.value).encode()
    assert [path for path in workspace.rglob("*") if "\n" in path.name] == []


@pytest.mark.parametrize("path", [*HOSTILE.values(), "x" * 300, "é" * 150, "/".join(["x" * 100] * 11), "a\nb/c"])
def test_a_hostile_path_of_artifacts_is_a_bad_call(workspace: Path, path: str) -> None:
    async def work() -> None:
        async with MLflowConnector().start_run() as run:
            with pytest.raises(BadCall):
                await run.log_artifact(__file__, path)
            with pytest.raises(BadCall):
                await run.log_model(object(), path)

    asyncio.run(work())


def test_a_file_with_a_hostile_name_is_a_bad_call_wherever_it_is(workspace: Path) -> None:
    (workspace / "folder").mkdir()
    (workspace / "folder" / "a\nb").write_text("x")
    (workspace / "c\nd").write_text("x")

    async def work() -> None:
        async with MLflowConnector().start_run() as run:
            for path in ("folder", "c\nd", "x" * 300, "a\x00b", "a\udc80", "y/" * 3_000):
                with pytest.raises(BadCall):
                    await run.log_artifact(path)

    asyncio.run(work())
    assert [path for path in (workspace / ".e2i").rglob("*") if "\n" in path.name] == []


def test_hostile_parameters_metrics_and_tags_are_bad_calls_and_the_run_goes_on(workspace: Path) -> None:
    async def work() -> None:
        async with MLflowConnector().start_run() as run:
            for name in HOSTILE.values():
                for log in (run.log_params, run.log_metrics, run.set_tags):
                    with pytest.raises(BadCall):
                        await log({name: 1})
            for log in (run.log_params, run.set_tags):
                with pytest.raises(BadCall):
                    await log({"a": "\ud800"})
            await run.log_params({"long": "x\ny" * 1_000, "é": "\U0001f600"})

    asyncio.run(work())


def test_what_a_trace_observes_never_raises(workspace: Path) -> None:
    with OpikConnector().trace_agent("a", "b", metadata={"\ud800": "\udc80"}) as span:
        span.set_attribute("c\ud800", ["\ud800", {"d": b"\x80".decode(errors="surrogateescape")}])
        span.add_event("\ud800")
        span.input, span.output = "\ud800", {"\ud800": 1}
        span.set_status("error", "\ud800")
    with pytest.raises(RuntimeError), OpikConnector().trace_agent("a", "b"):
        raise RuntimeError("\ud800")


def test_values_with_half_a_character_are_bad_calls(workspace: Path) -> None:
    client = FeastClient()
    client.register_feature("f", "g", "id", "string")
    frame = TIMES.assign(f=["\ud800"])
    with pytest.raises(BadCall):
        client.push("g", frame)
    client.push("g", TIMES.assign(f=["x"]))
    with pytest.raises(BadCall):
        client.get_online_features([{"id": "\ud800"}], ["g:f"])
    GEValidator().create_suite("s", SUITE)
    with pytest.raises(BadCall):
        asyncio.run(GEValidator().validate(ROWS, "s", split_filter="\ud800"))


def test_a_name_is_returned_and_a_value_may_be_long_and_have_lines() -> None:
    assert text("Ünï cødé", "x") == "Ünï cødé"
    assert content("a\n" * 10_000, "x")
    assert file_path("plots/" + "x" * 200, "x")
    with pytest.raises(BadCall, match="must be a text, not 3"):
        text(3, "x")
