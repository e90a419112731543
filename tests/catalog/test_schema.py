from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no types of its own
import pytest
import yaml

from e2i.catalog.schema import pipeline_schema

SCHEMA = pipeline_schema()
GOOD = sorted((Path(__file__).parents[1] / "golden" / "good").glob("*.yaml"))


def errors(spec: Any) -> list[str]:
    return [error.json_path for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(spec)]


def test_the_schema_is_one_and_always_the_same() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.dumps(pipeline_schema()) == json.dumps(SCHEMA)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_specs_fit(path: Path) -> None:
    assert errors(yaml.safe_load(path.read_text())) == []


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
