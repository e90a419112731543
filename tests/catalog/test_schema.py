from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no types of its own
import pytest

from e2i.catalog.registry import BUILT_IN
from e2i.catalog.schema import pipeline_schema
from e2i.spec import document

SCHEMA = pipeline_schema()
ROOT = Path(__file__).parents[2]
GOOD = sorted((ROOT / "tests" / "golden" / "good").glob("*.yaml"))
WRITTEN = [path for folder in ("specs", "benchmarks") for path in sorted((ROOT / folder).glob("*.yaml"))]
SHIPPED = [path for path in WRITTEN if not path.name.endswith(".test.yaml")] + sorted(
    (ROOT / "engine").rglob("example.yaml")
)


def read(path: Path) -> Any:
    """A spec's data, as e2i reads it: another reader would take ``on`` for true."""
    found, _ = document.read(path.read_bytes(), str(path))
    assert found is not None
    return found.data


def errors(spec: Any) -> list[str]:
    return [error.json_path for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(spec)]


def test_the_schema_is_one_and_always_the_same() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.dumps(pipeline_schema()) == json.dumps(SCHEMA)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_specs_fit(path: Path) -> None:
    assert errors(read(path)) == []


@pytest.mark.parametrize(
    "step",
    [
        {"uses": "debug.ecko"},
        {"uses": "debug.sleep"},
        {"uses": "debug.sleep", "with": {"seconds": -1}},
        {"uses": "debug.sleep", "with": {"seconds": 1, "second": 1}},
        {"uses": "debug.echo", "wiht": {}},
        {"uses": "debug.echo", "timeout": "soon"},
        {"uses": "debug.echo", "on_error": "maybe"},
    ],
)
def test_bad_steps_do_not(step: dict[str, Any]) -> None:
    assert errors({"version": 1, "name": "n", "steps": {"a": step}})


def test_every_parameter_may_be_an_expression() -> None:
    step = {"uses": "debug.sleep", "with": {"seconds": "${{ params.n }}"}}
    assert errors({"version": 1, "name": "n", "steps": {"a": step}}) == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_specs_and_examples_fit(path: Path) -> None:
    assert errors(read(path)) == []


def test_an_expression_may_stand_for_any_value_of_a_parameter() -> None:
    step = {"uses": "data.split", "with": {"table": "${{ steps.a.t }}", "strategy": "${{ params.s }}"}}
    fractions = {"fractions": {"train": "${{ params.share }}", "test": 0.2}, "by": "${{\n params.by\n}}"}
    spec = {"version": 1, "name": "x", "steps": {"a": {**step, "with": {**step["with"], **fractions}}}}
    assert errors(spec) == []


def test_each_parameter_is_completed_and_explained() -> None:
    tune = SCHEMA["$defs"]["with optuna.tune"]["properties"]["trials"]
    assert tune["description"]
    assert tune["default"] == 20
    assert {"const": "optuna.tune", "description": "Searches the hyperparameters of an algorithm. Resumes an "
            "interrupted study."} in SCHEMA["$defs"]["StepSpec"]["properties"]["uses"]["anyOf"]  # fmt: skip


def test_each_value_is_defined_once() -> None:
    definitions = {json.dumps(definition): name for name, definition in SCHEMA["$defs"].items()}
    assert len(definitions) == len(SCHEMA["$defs"])
    assert [name for name in SCHEMA["$defs"] if name.endswith("Table")] == ["value.Table"]
    assert json.dumps(SCHEMA).count("An expression, such as") == 1
    assert len(json.dumps(SCHEMA)) < 3_250 * len(BUILT_IN.names())


def test_an_artifact_is_still_checked_wherever_it_is() -> None:
    table = {"type": "table", "digest": f"sha256:{'0' * 64}", "columns": [{"name": "a", "type": "double"}], "rows": 1}
    for uses, given in (("data.split", {"strategy": "random"}), ("great_expectations.validate", {"suite": "s"})):
        for value, is_valid in (
            (table, True),
            ({**table, "rows": "${{ 1 }}"}, True),
            ({**table, "rows": "many"}, False),
            ({**table, "colour": 1}, False),
        ):
            step = {"uses": uses, "with": {**given, "table": value}}
            assert (errors({"version": 1, "name": "x", "steps": {"a": step}}) == []) == is_valid
