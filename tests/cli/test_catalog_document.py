"""From the catalog alone, a step can be written."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from e2i.catalog.registry import BUILT_IN
from e2i.cli.main import e2i
from e2i.spec import document


def catalog(*arguments: str) -> list[dict[str, Any]]:
    result = CliRunner().invoke(e2i, ["catalog", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["schema_version"] == 1
    actions: list[dict[str, Any]] = document["actions"]
    return actions


def test_the_whole_catalog_is_brief() -> None:
    actions = catalog()
    assert sorted(action["action"] for action in actions) == BUILT_IN.names()
    assert all(
        action.keys() == {"action", "summary", "effect", "extra", "required", "params", "outputs"} for action in actions
    )
    assert len(json.dumps(actions)) < 650 * len(actions)


def described(field: dict[str, Any], schema: dict[str, Any]) -> bool:
    """Returns whether a field, or the schema that it refers to, has a description."""
    kind = schema["$defs"][field["$ref"].rpartition("/")[2]] if "$ref" in field else {}
    return bool(field.get("description") or kind.get("description"))


@pytest.mark.parametrize("uses", BUILT_IN.names())
def test_an_action_is_described_in_full(uses: str) -> None:
    (action,) = catalog(uses)
    assert action["action"] == uses
    for schema in (action["params"], action["outputs"]):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert [name for name, field in schema.get("properties", {}).items() if not described(field, schema)] == []
    for direction in ("params", "outputs"):
        assert action["types"][direction].keys() == action[direction].get("properties", {}).keys()
    example, problems = document.read_value(action["example"], "example")  # YAML 1.2, in which `on` is text
    assert not problems
    (step,) = example.values()
    assert step["uses"] == uses
    assert set(step.get("with", {})) <= set(action["params"]["properties"])
    assert set(action["params"].get("required", ())) <= set(step.get("with", {}))
    assert yaml.safe_load(action["example_spec"])["version"] == 1


def test_artifacts_are_listed_with_their_paths() -> None:
    (tune,) = catalog("optuna.tune")
    taken = {"table": ["train", "validation"], "folds": ["folds"], "recipe": ["prepare"], "study": ["warm_start[*]"]}
    assert tune["takes"] == taken
    assert tune["gives"] == {
        "study": ["study"],
        "model": ["model"],
        "effect_model": ["model"],
        "recipe": ["best_recipe"],
        "table": ["trials", "front"],
        "report": ["report"],
    }
    (apply,) = catalog("feast.apply")
    assert apply["takes"] == {"table": ["views.*.table"]}
    assert apply["gives"] == {"feature_repo": ["repo"]}


def test_bounds_defaults_and_choices_are_in_the_schema() -> None:
    (tune,) = catalog("optuna.tune")
    trials = tune["params"]["properties"]["trials"]
    assert (trials["minimum"], trials["maximum"], trials["default"]) == (1, 1_000_000, 20)
    assert tune["params"]["properties"]["sampler"]["enum"] == [
        *("tpe", "multivariate_tpe", "cmaes", "random", "grid", "qmc", "gp"),
    ]


def test_people_see_the_example_too() -> None:
    result = CliRunner().invoke(e2i, ["catalog", "optuna.tune"])
    assert "example:\n  tune:\n    uses: optuna.tune\n" in result.stdout


def test_the_brief_catalog_has_choices_bounds_and_defaults() -> None:
    params = {action["action"]: action["params"] for action in catalog()}
    assert params["data.split"]["strategy"] == "entity|time|random"
    assert params["optuna.tune"]["trials"] == "integer = 20 (1 to 1,000,000)"
    assert params["data.select"]["where"] == "[{column*, op*, value}]"


def test_a_signature_is_read_in_sixty_tokens() -> None:
    result = CliRunner().invoke(e2i, ["catalog", "--signatures"])
    document = json.loads(CliRunner().invoke(e2i, ["catalog", "--signatures", "--json"]).stdout)
    lines = document["signatures"]
    assert [line.partition("(")[0] for line in lines] == [action["action"] for action in catalog()]
    types = [f"{name} = {text}" for name, text in document["types"].items()]
    assert result.stdout.splitlines() == lines + types
    assert any(line.startswith("ALGORITHM = XGBoost|LightGBM|") for line in types)
    assert any("algorithm: ALGORITHM = XGBoost, " in line for line in lines)
    assert any("algorithm: ALGORITHM|LinearDML|" in line for line in lines)
    assert len(result.stdout) < 240 * len(BUILT_IN.names())  # a token is four letters and more
    (line,) = CliRunner().invoke(e2i, ["catalog", "debug.sleep", "--signatures"]).stdout.splitlines()
    assert line == "debug.sleep(seconds*: number, value: any) -> value"


def test_people_see_choices_bounds_defaults_and_nested_forms() -> None:
    shown = CliRunner().invoke(e2i, ["catalog", "data.split"]).stdout
    assert "  strategy*: entity|time|random\n" in shown
    assert "        train: number = 0.6 (> 0 and < 1)\n            Fraction for fitting models.\n" in shown
    assert "()" not in shown and "None" not in shown
