from __future__ import annotations

import json

import pytest

from e2i.errors import BadInput
from e2i.records import provenance
from records.past import digest, run_document


def test_the_chain_leads_from_the_files_to_what_was_asked_for() -> None:
    run = run_document()
    found = provenance.trace(run, "judge", ("metrics",), {}).to_json()
    assert [step["step"] for step in found["steps"]] == ["load", "split", "train", "judge"]
    assert found["files"] == [{"path": "data/x.csv", "digest": digest("a")}]
    assert found["steps"][2]["reads"] == [{"step": "split", "output": "train", "type": "table", "digest": digest("c")}]
    assert found["runs"][run["run"]]["git"]["commit"] == "1" * 40
    json.dumps(found)


def test_a_reused_step_names_the_run_that_executed_it() -> None:
    run = run_document("now")
    run["results"]["f-load"]["run"] = "before"
    run["results"]["f-split"]["run"] = "gone"
    found = provenance.trace(run, "train", (), {"before": run_document("before", file="other.yaml")}).to_json()
    assert [step["run"] for step in found["steps"]] == ["before", "gone", "now"]
    assert found["runs"]["before"]["file"] == "other.yaml"
    assert found["runs"]["gone"] is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("train", ("train", ())), ("train.model", ("train", ("model",))), ("split.parts", ("split", ("parts",)))],
)
def test_a_step_or_one_of_its_outputs_is_named(text: str, expected: tuple[str, tuple[str, ...]]) -> None:
    assert provenance.point(run_document(), text) == expected


@pytest.mark.parametrize(
    ("text", "hint"), [("nothing", "its steps: load, split, train, judge"), ("train.nothing", "its outputs: model")]
)
def test_what_is_not_there_is_reported_with_what_is(text: str, hint: str) -> None:
    with pytest.raises(BadInput) as raised:
        provenance.point(run_document(), text)
    assert (raised.value.code, raised.value.hint) == ("unknown-output", hint)


def test_steps_whose_names_hold_dots_are_found() -> None:
    run = run_document()
    run["plan"]["steps"][2]["id"] = run["steps"][2]["step"] = "train[0.5]"
    assert provenance.point(run, "train[0.5].model") == ("train[0.5]", ("model",))
