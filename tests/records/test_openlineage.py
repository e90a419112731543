"""Events against what https://openlineage.io/spec/2-0-2/OpenLineage.json and its facets ask for, written down here."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import jsonschema
import pytest

from e2i.catalog.step_error import ErrorDocument
from e2i.records import openlineage
from e2i.records.past import PastRun
from e2i.store.past import RunOrigin
from records.past import altered, digest, past_run

URI = {"type": "string", "pattern": "^[a-z]+:.+"}
TEXT = {"type": "string", "minLength": 1}


def thing(required: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": {**required, **more}}


def facets(**known: dict[str, Any]) -> dict[str, Any]:
    base = thing({"_producer": URI, "_schemaURL": URI})
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {"allOf": [base, facet]} for name, facet in known.items()},
    }


RUN_ID = {"type": "string", "format": "uuid", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}
NAMED = {"namespace": TEXT, "name": TEXT}
OTHER_RUN = {"run": thing({"runId": RUN_ID}), "job": thing(NAMED)}
DATASET = thing(
    NAMED,
    facets=facets(
        schema=thing({"fields": {"type": "array", "items": thing({"name": TEXT}, type=TEXT)}}),
        version=thing({"datasetVersion": TEXT}),
        datasetType=thing({"datasetType": TEXT}),
    ),
)
EVENT = thing(
    {
        "eventTime": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"},
        "producer": URI,
        "schemaURL": {"const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"},
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "run": thing(
            {
                "runId": RUN_ID,
                "facets": facets(
                    parent=thing(OTHER_RUN, root=thing(OTHER_RUN)),
                    errorMessage=thing({"message": TEXT, "programmingLanguage": TEXT}),
                    processing_engine=thing({"version": TEXT}, name=TEXT),
                    executionParameters=thing(
                        {"parameters": {"type": "array", "items": thing({"key": TEXT}, value={"type": "string"})}}
                    ),
                ),
            }
        ),
        "job": thing(
            {
                **NAMED,
                "facets": facets(
                    jobType=thing({"processingType": TEXT, "integration": TEXT}, jobType=TEXT),
                    documentation=thing({"description": TEXT}),
                    sourceCode=thing({"language": TEXT, "sourceCode": TEXT}),
                    sourceCodeLocation=thing(
                        {"type": {"const": "git"}, "url": URI}, repoUrl=TEXT, path=TEXT, version=TEXT, branch=TEXT
                    ),
                ),
            }
        ),
        "inputs": {"type": "array", "items": DATASET},
        "outputs": {"type": "array", "items": DATASET},
    }
)
FAILED = ErrorDocument(code="step-failed", message="the data is not there")


def reported(run: PastRun) -> list[tuple[str, str]]:
    return [(event["eventType"], event["job"]["name"]) for event in openlineage.events(run)]


@pytest.mark.parametrize(
    "run",
    [
        past_run(),
        altered(past_run(status="failed"), "judge", status="failed", error=FAILED, outputs=None),
        past_run(provenance=RunOrigin(), outputs=None, status="running", ended_ms=None),
    ],
    ids=["succeeded", "failed", "running, without provenance"],
)
def test_every_event_is_as_the_specification_asks(run: PastRun) -> None:
    for event in openlineage.events(run):
        jsonschema.Draft202012Validator(EVENT).validate(event)


def test_the_run_and_each_step_start_and_end_once_in_the_order_of_time() -> None:
    assert reported(past_run()) == [
        ("START", "demo"),
        *((kind, f"demo.{step}") for step in ("load", "split", "train", "judge") for kind in ("START", "COMPLETE")),
        ("COMPLETE", "demo"),
    ]


def test_a_failure_is_reported_with_its_message_and_what_was_left_out_is_not_reported() -> None:
    run = altered(past_run(status="failed"), "train", status="failed", error=FAILED, outputs=None)
    run = altered(run, "judge", status="skipped", attempts=0, outputs=None)
    assert reported(run)[-2:] == [("FAIL", "demo.train"), ("FAIL", "demo")]
    step, whole = openlineage.events(run)[-2:]
    assert step["run"]["facets"]["errorMessage"]["message"] == "the data is not there"
    assert whole["run"]["facets"]["errorMessage"]["message"] == "train: the data is not there"


def test_what_still_runs_has_a_start_and_no_end() -> None:
    run = altered(past_run(status="running", ended_ms=None), "judge", status="running", ended_ms=None, outputs=None)
    assert reported(run)[-1] == ("START", "demo.judge")
    assert ("COMPLETE", "demo") not in reported(run)


def test_datasets_carry_columns_and_digests_and_lead_from_step_to_step() -> None:
    events = {(event["eventType"], event["job"]["name"]): event for event in openlineage.events(past_run())}
    (train,) = events["COMPLETE", "demo.train"]["inputs"]
    assert (train["namespace"], train["name"]) == ("e2i", "demo.split.train")
    assert train["facets"]["version"]["datasetVersion"] == digest("c")
    assert train["facets"]["schema"]["fields"] == [{"name": "x", "type": "double"}, {"name": "y", "type": "int64"}]
    given = {output["name"] for output in events["COMPLETE", "demo.split"]["outputs"]}
    assert train["name"] in given
    (file,) = events["START", "demo.load"]["inputs"]
    assert (file["namespace"], file["name"]) == ("file", "data/x.csv")


def test_the_spec_is_reported_with_the_commit_it_lies_in() -> None:
    location = openlineage.events(past_run())[0]["job"]["facets"]["sourceCodeLocation"]
    assert {name: value for name, value in location.items() if not name.startswith("_")} == {
        "type": "git",
        "url": "https://example.com/team/repo.git",
        "repoUrl": "https://example.com/team/repo.git",
        "path": "specs/demo.yaml",
        "version": "1" * 40,
        "branch": "main",
    }


def test_equal_runs_give_equal_events_and_ids_that_refer_to_each_other() -> None:
    assert openlineage.events(past_run()) == openlineage.events(past_run())
    events = openlineage.events(past_run())
    whole, step = events[0]["run"]["runId"], events[1]["run"]
    assert step["facets"]["parent"]["run"]["runId"] == whole != step["runId"]
    assert UUID(whole).version == UUID(step["runId"]).version == 5
    assert {event["run"]["runId"] for event in openlineage.events(past_run("other"))}.isdisjoint({whole})
