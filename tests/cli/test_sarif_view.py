from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from e2i import api
from e2i.cli import sarif_view
from e2i.documents import plain

ESSENTIAL: dict[str, Any] = {
    "$defs": {
        "file": {"properties": {"uri": {"type": "string", "format": "uri-reference"}}, "required": ["uri"]},
        "region": {
            "properties": {
                name: {"type": "integer", "minimum": 1} for name in ("startLine", "startColumn", "endLine", "endColumn")
            },
            "required": ["startLine"],
            "additionalProperties": False,
        },
        "text": {"properties": {"text": {"type": "string", "minLength": 1}}, "required": ["text"]},
        "replacement": {
            "properties": {
                "deletedRegion": {"$ref": "#/$defs/region"},
                "insertedContent": {"properties": {"text": {"type": "string"}}, "required": ["text"]},
            },
            "required": ["deletedRegion"],
            "additionalProperties": False,
        },
        "change": {
            "properties": {
                "artifactLocation": {"$ref": "#/$defs/file"},
                "replacements": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/replacement"}},
            },
            "required": ["artifactLocation", "replacements"],
        },
        "location": {
            "properties": {
                "physicalLocation": {
                    "properties": {
                        "artifactLocation": {"$ref": "#/$defs/file"},
                        "region": {"$ref": "#/$defs/region"},
                    },
                    "required": ["artifactLocation", "region"],
                }
            },
            "required": ["physicalLocation"],
        },
        "result": {
            "properties": {
                "ruleId": {"type": "string"},
                "ruleIndex": {"type": "integer", "minimum": 0},
                "level": {"enum": ["none", "note", "warning", "error"]},
                "message": {"$ref": "#/$defs/text"},
                "locations": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/location"}},
                "fixes": {
                    "items": {
                        "properties": {
                            "description": {"$ref": "#/$defs/text"},
                            "artifactChanges": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/change"}},
                        },
                        "required": ["artifactChanges"],
                    }
                },
            },
            "required": ["message", "locations", "ruleId", "level"],
            "additionalProperties": False,
        },
        "rule": {
            "properties": {"id": {"type": "string"}, "shortDescription": {"$ref": "#/$defs/text"}},
            "required": ["id", "shortDescription"],
        },
    },
    "properties": {
        "version": {"const": "2.1.0"},
        "$schema": {"type": "string"},
        "runs": {
            "type": "array",
            "items": {
                "properties": {
                    "tool": {
                        "properties": {
                            "driver": {
                                "properties": {"name": {"const": "e2i"}, "rules": {"items": {"$ref": "#/$defs/rule"}}},
                                "required": ["name", "rules"],
                            }
                        },
                        "required": ["driver"],
                    },
                    "columnKind": {"const": "unicodeCodePoints"},
                    "results": {"items": {"$ref": "#/$defs/result"}},
                },
                "required": ["tool", "results"],
            },
        },
    },
    "required": ["version", "runs"],
}
"""The requirements of the SARIF 2.1.0 schema for what is written here."""
REPOSITORY = Path(__file__).parents[2]
BAD = sorted((REPOSITORY / "tests" / "golden" / "bad").glob("*.yaml"))


@pytest.fixture(scope="module")
def workspace() -> api.Workspace:
    return api.Workspace.open(root=REPOSITORY, environ={})


def log(spec: Path, workspace: api.Workspace) -> dict[str, Any]:
    return plain(sarif_view.document(api.validate(spec, workspace=workspace).problems))


@pytest.mark.parametrize("spec", BAD[::5], ids=lambda path: path.stem)
def test_a_log_has_the_shape_of_sarif(spec: Path, workspace: api.Workspace) -> None:
    document = log(spec, workspace)
    jsonschema.Draft202012Validator(ESSENTIAL).validate(document)
    (run,) = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert [rules[result["ruleIndex"]] for result in run["results"]] == [result["ruleId"] for result in run["results"]]
    assert rules == sorted(set(rules))


def test_a_fix_is_a_replacement_of_text(tmp_path: Path, workspace: api.Workspace) -> None:
    spec = tmp_path / "my spec.yaml"
    spec.write_text("version: 1\nname: x\nsteps:\n  a: {uses: debug.ecko}\n", "utf-8")
    (result,) = log(spec, workspace)["runs"][0]["results"]
    location = result["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"].endswith("my%20spec.yaml")
    assert location["region"] == {"startLine": 4, "startColumn": 13}
    (change,) = result["fixes"][0]["artifactChanges"]
    assert change["replacements"] == [
        {
            "deletedRegion": {"startLine": 4, "startColumn": 13, "endLine": 4, "endColumn": 23},
            "insertedContent": {"text": "debug.echo"},
        }
    ]


def test_a_valid_spec_gives_a_log_without_results() -> None:
    (run,) = plain(sarif_view.document([]))["runs"]
    assert run["results"] == []
    assert run["tool"]["driver"]["rules"] == []
