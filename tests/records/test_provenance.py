from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from e2i.documents import plain
from e2i.errors import BadInput
from e2i.records import provenance
from records.past import digest, past_run, with_result, with_steps


def test_the_chain_leads_from_the_files_to_what_was_asked_for() -> None:
    run = past_run()
    found = json.loads(json.dumps(plain(provenance.trace(run, "judge", ("metrics",), {}).document)))
    assert [step["step"] for step in found["steps"]] == ["load", "split", "train", "judge"]
    assert found["files"] == [{"path": "data/x.csv", "digest": digest("a")}]
    assert found["steps"][2]["reads"] == [{"step": "split", "output": "train", "type": "table", "digest": digest("c")}]
    assert found["runs"][run.run.id]["git"]["commit"] == "1" * 40


def test_a_reused_step_names_the_run_that_executed_it() -> None:
    run = past_run("now")
    run = with_result(with_result(run, "f-load", run="before"), "f-split", run="gone")
    found = provenance.trace(run, "train", (), {"before": past_run("before", file="other.yaml").run}).document
    assert [step.run for step in found.steps] == ["before", "gone", "now"]
    assert (maker := found.runs["before"]) is not None and maker.file == "other.yaml"
    assert found.runs["gone"] is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("train", ("train", ())), ("train.model", ("train", ("model",))), ("split.parts", ("split", ("parts",)))],
)
def test_a_step_or_one_of_its_outputs_is_named(text: str, expected: tuple[str, tuple[str, ...]]) -> None:
    assert provenance.point(past_run(), text) == expected


@pytest.mark.parametrize(
    ("text", "hint"), [("nothing", "its steps: load, split, train, judge"), ("train.nothing", "its outputs: model")]
)
def test_what_is_not_there_is_reported_with_what_is(text: str, hint: str) -> None:
    with pytest.raises(BadInput) as raised:
        provenance.point(past_run(), text)
    assert (raised.value.code, raised.value.hint) == ("unknown-output", hint)


def test_steps_whose_names_hold_dots_are_found() -> None:
    run = past_run()
    renamed = (replace(step, id="train[0.5]") if step.id == "train" else step for step in run.run.steps)
    assert provenance.point(with_steps(run, *renamed), "train[0.5].model") == ("train[0.5]", ("model",))
