"""Every method of the interface called with values of a wrong type: a ValueError with a hint, whatever the tool."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import e2i.mlops
from e2i.mlops import BadCall, ToolUnavailable

WRONG: dict[str, Any] = {
    "None": None,
    "int": -7,
    "str": "wrong",
    "blank": " ",
    "list": ["wrong"],
    "dict": {"wrong": "wrong"},
    "object": object(),
    "frame": pd.DataFrame(),
}
"""Name → a value that is wrong for most arguments."""
TEXT = ("str",)
OPTIONAL = ("None", "str")
X = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["calls", "samples"])
Y = (X.calls > 0).astype(int)
MODEL = LogisticRegression().fit(X, Y)
FEATURE = ["journeys:calls"]
ROWS = pd.DataFrame({"hcp": ["a"], "event_timestamp": pd.to_datetime(["2025-01-01"], utc=True), "calls": [1]})


CALLS: dict[tuple[str, str], dict[str, tuple[Any, tuple[str, ...]]]] = {
    ("GEValidator", "validate"): {
        "data_source": (X, ()),
        "suite_name": ("e2i_default_suite", ()),
        "split_filter": (None, ("None",)),
        "batch_parameters": (None, ("None",)),
    },
    ("GEValidator", "create_suite"): {
        "suite_name": ("wrong", TEXT),
        "expectations": ([{"type": "expect_column_to_exist", "column": "calls"}], ()),
    },
    ("GEValidator", "get_default_suite"): {"problem_type": ("classification", (*TEXT, "blank"))},
    ("FeastClient", "register_feature"): {
        "feature_name": ("calls", TEXT),
        "feature_group": ("journeys", TEXT),
        "entity": ("hcp", ()),
        "dtype": ("int64", ()),
        "description": (None, (*OPTIONAL, "blank")),
    },
    ("FeastClient", "push"): {"view": ("journeys", ()), "frame": (ROWS, ("frame",))},
    ("FeastClient", "get_historical_features"): {
        "entity_df": (ROWS[["hcp", "event_timestamp"]], ()),
        "features": (FEATURE, ()),
        "full_feature_names": (False, ()),
    },
    ("FeastClient", "get_online_features"): {"entity_rows": ([{"hcp": "a"}], ("frame",)), "features": (FEATURE, ())},
    ("FeastClient", "get_feature_statistics"): {"feature_view": ("journeys", ()), "reference": (None, ("None",))},
    ("FeastClient", "materialize"): {"end": (None, ("None",))},
    ("OptunaTuner", "optimize"): {
        "algorithm": ("LogisticRegression", ()),
        "search_space": ({"C": [0.1, 1.0]}, ()),
        "X_train": (X, ()),
        "y_train": (Y, ()),
        "X_val": (X, ()),
        "y_val": (Y, ()),
        "n_trials": (1, ()),
        "metric": ("auc", ()),
        "direction": ("maximize", ("None",)),
        "timeout": (None, ("None",)),
        "study_name": (None, OPTIONAL),
        "sampler": ("random", ()),
        "pruner": (None, ("None",)),
        "seed": (1, ("None",)),
        "treatment": (None, ("None",)),
    },
    ("SHAPExplainer", "compute_shap_values"): {
        "model": (MODEL, ()),
        "X": (X, ()),
        "algorithm": (None, ("None",)),
    },
    ("SHAPExplainer", "compute_feature_importance"): {
        "shap_values": (np.ones((3, 2)), ()),
        "feature_names": (["calls", "samples"], ()),
    },
    ("SHAPExplainer", "compute_interactions"): {"model": (MODEL, ()), "X": (X, ())},
    ("SHAPExplainer", "explain_instance"): {"model": (MODEL, ()), "X": (X, ()), "instance_idx": (0, ("int",))},
    ("BentoMLService", "package_model"): {
        "model_uri": ("wrong", ()),
        "preprocessing_uri": (None, ()),
        "name": (None, ()),
        "version": (None, ()),
    },
    ("BentoMLService", "deploy"): {
        "bento_tag": ("wrong:v1", ()),
        "endpoint_name": ("wrong", ()),
        "replicas": (1, ()),
        "resources": (None, ()),
    },
    ("BentoMLService", "update_traffic"): {
        "endpoint_name": ("wrong", ()),
        "traffic_percentage": (10, ()),
        "to": (None, ()),
    },
    ("BentoMLService", "rollback"): {"endpoint_name": ("wrong", ()), "to": (None, (None,))},
    ("BentoMLService", "predict"): {"endpoint_url": ("wrong", ()), "features": ([[1.0]], ())},
    ("BentoMLService", "undeploy"): {"endpoint_name": ("wrong", ())},
    ("OpikConnector", "trace_agent"): {
        "agent_name": ("analyzer", TEXT),
        "operation": ("interpret", TEXT),
        "trace_id": (None, ("None", "int", "str", "blank")),
        "parent_span_id": (None, ("None", "int", "str", "blank")),
        "metadata": (None, ("None", "dict")),
    },
    ("OpikConnector", "trace_llm_call"): {
        "model": ("claude-sonnet-4", TEXT),
        "parent_span": (None, ("None",)),
        "prompt_template": (None, (*OPTIONAL, "blank")),
        "provider": (None, OPTIONAL),
    },
    ("OpikConnector", "log_metric"): {"name": ("latency", ()), "value": (1.0, ()), "span": (None, ())},
    ("OpikConnector", "log_feedback"): {
        "trace_id": ("wrong", ("int", "str")),
        "score": (0.5, ("int",)),
        "feedback_type": ("quality", TEXT),
        "reason": (None, (*OPTIONAL, "blank")),
    },
    ("OpikConnector", "evaluate_agent"): {
        "agent_name": ("geographer", TEXT),
        "test_cases": ([{"input": "a", "output": "b", "expected_output": "b"}], ()),
        "metrics": (["equals"], ()),
        "task": (None, ("None",)),
    },
    ("OpikConnector", "track_anthropic"): {"client": (object(), ())},
    ("OpikConnector", "track_openai"): {"client": (object(), ())},
}
"""Each method → argument → (a right value, names of the values of WRONG that are right too)."""


def call(connector: Any, method: str, arguments: dict[str, Any]) -> Any:
    async def awaited() -> Any:
        found = getattr(connector, method)(**arguments)
        return await found if inspect.isawaitable(found) else found

    return asyncio.run(awaited())


@pytest.fixture
def ready(workspace: Path) -> Callable[[str], Any]:
    def make(name: str) -> Any:
        connector = getattr(e2i.mlops, name)()
        if name == "FeastClient":
            connector.register_feature("calls", "journeys", "hcp", "int64")
            connector.push("journeys", ROWS)
        return connector

    return make


@pytest.mark.parametrize(("name", "method"), CALLS, ids=lambda value: str(value))
def test_each_value_of_a_wrong_type_is_a_mistake_with_a_hint(
    name: str, method: str, ready: Callable[[str], Any]
) -> None:
    connector, arguments = ready(name), CALLS[name, method]
    right = {argument: value for argument, (value, _) in arguments.items()}
    odd = []
    for argument, (_, accepted) in arguments.items():
        for kind in WRONG.keys() - {*accepted}:
            try:
                call(connector, method, {**right, argument: WRONG[kind]})
            except BadCall as error:
                if not error.hint:
                    odd.append(f"{argument}={kind}: no hint: {error}")
            except ToolUnavailable as error:
                if error.code != "tool-missing":  # a client of a library that is not installed
                    odd.append(f"{argument}={kind}: {error}")
            except Exception as error:  # noqa: BLE001 - all of them are listed
                odd.append(f"{argument}={kind}: {type(error).__name__}: {error}")
            else:
                odd.append(f"{argument}={kind}: accepted")
    assert not odd, "\n".join(sorted(odd))


@pytest.mark.parametrize(("name", "method"), CALLS, ids=lambda value: str(value))
def test_a_missing_or_unknown_argument_is_a_type_error(name: str, method: str, ready: Callable[[str], Any]) -> None:
    connector = ready(name)
    right = {argument: value for argument, (value, _) in CALLS[name, method].items()}
    with pytest.raises(TypeError):
        call(connector, method, {**right, "unknown": 1})
    if method != "materialize":
        with pytest.raises(TypeError):
            call(connector, method, {})


def test_every_method_is_called() -> None:
    from mlops import coverage

    tested = {name for name, _ in CALLS}
    assert {(name, method) for name, method in coverage.methods() if name in tested} == set(CALLS)
