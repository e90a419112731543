from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest

from e2i.catalog.registry import BUILT_IN, SINKS, tool_name
from project import ENGINE

NAMES = BUILT_IN.names()


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
