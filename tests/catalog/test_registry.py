from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest

from e2i.catalog.action import Effect
from e2i.catalog.registry import BUILT_IN, SINKS, tool_name
from project import ENGINE

NAMES = BUILT_IN.names()
LOOK = (
    "import sys; from importlib.util import find_spec; print(*[name for name in sys.argv[1:] if not find_spec(name)])"
)


def test_names_are_sorted_and_unique_and_lead_back() -> None:
    assert sorted(set(NAMES)) == NAMES
    for name in NAMES:
        found = BUILT_IN.action(name)
        assert found is not None
        assert f"{tool_name(name)}.{found.name}" == name


@pytest.mark.parametrize(
    "uses", ["", "debug", "debug.", ".echo", "debug.ecko", "nothing.echo", "debug.echo.value", "e2i.cli"]
)
def test_what_is_not_there_is_none(uses: str) -> None:
    assert BUILT_IN.action(uses) is None


@pytest.mark.parametrize("name", NAMES)
def test_everything_declared_is_described(name: str) -> None:
    action, tool = BUILT_IN.action(name), BUILT_IN.tool(tool_name(name))
    assert action is not None and tool is not None
    assert tool.summary and action.summary
    for model in (action.params, action.outputs):
        assert model.model_config["extra"] == "forbid"
        assert [field for field, info in model.model_fields.items() if not info.description] == []
    if action.effect is Effect.SERVICE:
        assert any("service" in field for field in action.outputs.model_fields)


@pytest.mark.parametrize("name", NAMES)
def test_every_action_has_its_function(name: str) -> None:
    tool, _, action = name.partition(".")
    source = ast.parse(inspect.getsource(import_module(f"{BUILT_IN.module(tool)}.actions")))
    functions = {node.name: node for node in source.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert [argument.arg for argument in functions[action].args.args] == ["params", "ctx"]
    assert ast.get_docstring(functions[action])


@pytest.mark.parametrize("tool", sorted(BUILT_IN))
def test_what_workers_import_ahead_is_there(tool: str) -> None:
    declared = BUILT_IN.tool(tool)
    assert declared is not None
    if find_spec(tool) is not None or tool in ("model", "data"):
        # In a process of its own: to look inside a package is to import it, and some read their settings only then.
        done = subprocess.run(
            [sys.executable, "-c", LOOK, *declared.imports], capture_output=True, text=True, timeout=200, check=True
        )
        assert done.stdout.split() == []


def test_declarations_import_no_tool() -> None:
    code = (
        "import sys\nfrom e2i.catalog.registry import BUILT_IN\nBUILT_IN.names()\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & set(sys.argv[1:])))"
    )
    heavy = [
        "mlflow",
        "opik",
        "great_expectations",
        "feast",
        "optuna",
        "shap",
        "bentoml",
        "xgboost",
        "sklearn",
        "pandas",
        "numpy",
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy],
        env={"PYTHONPATH": str(ENGINE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("tool", sorted(BUILT_IN))
def test_what_takes_telemetry_has_a_sink_and_only_there_a_step_begins_the_run(tool: str) -> None:
    declared = BUILT_IN.tool(tool)
    assert declared is not None
    has_sink = find_spec(f"{BUILT_IN.module(tool)}.sink") is not None
    assert has_sink == (tool in SINKS)
    assert not has_sink or callable(import_module(f"{BUILT_IN.module(tool)}.sink").open_sink)
    assert has_sink or not any(action.begins_run for action in declared.actions)
