from __future__ import annotations

from e2i.records import lineage
from records.past import altered, digest, run_document, table


def test_an_input_is_found_by_its_digest_and_a_value_by_its_name() -> None:
    steps = lineage.of(run_document())
    assert [read.address for read in steps["train"].reads] == ["split.train"]
    assert [read.address for read in steps["judge"].reads] == ["split.test", "split.parts", "train.model"]
    assert [(file.path, file.digest) for file in steps["load"].files] == [("data/x.csv", digest("a"))]


def test_what_a_step_came_from_leaves_out_what_it_did_not_read() -> None:
    run = run_document()
    run["plan"]["steps"].append({**run["plan"]["steps"][0], "id": "aside"})
    run["steps"].append({**run["steps"][0], "step": "aside"})
    assert [step.id for step in lineage.behind(lineage.of(run), "train")] == ["load", "split", "train"]


def test_a_step_without_a_kept_result_came_from_all_that_it_came_after() -> None:
    run = altered(run_document(), "judge", fingerprint=None, status="failed", outputs=None)
    steps = lineage.of(run)
    assert (steps["judge"].components, steps["judge"].reads) == ({}, ())
    assert [step.id for step in lineage.behind(steps, "judge")] == ["load", "split", "train", "judge"]


def test_artifacts_within_mappings_and_lists_are_reported_one_by_one() -> None:
    given = {"models": {"a": table("1"), "b": [table("2"), 3]}, "n": 4}
    assert [(output.name, output.digest) for output in lineage.outputs("s", given)] == [
        ("models.a", digest("1")),
        ("models.b.0", digest("2")),
        ("n", None),
    ]


def test_a_cell_reads_from_the_cells_of_the_step_that_it_names() -> None:
    run = run_document()
    for steps, key in ((run["plan"]["steps"], "id"), (run["steps"], "step")):
        for step in steps:
            step[key] = f"part/{step[key]}[1]" if step[key] == "split" else step[key]
    for planned in run["plan"]["steps"]:
        planned["needs"] = ["part/split[1]" if need == "split" else need for need in planned["needs"]]
    steps = lineage.of(run)
    assert [read.address for read in steps["judge"].reads] == [
        "part/split[1].test", "part/split[1].parts", "train.model"
    ]  # fmt: skip


def test_the_spec_of_the_run_says_what_is_read_and_not_an_equal_step_whose_result_was_kept() -> None:
    steps = 'steps: {load: {uses: debug.echo}, split: {uses: debug.echo, with: {value: "${{ steps.load.rows }}"}}}\n'
    run = run_document(spec="version: 1\nname: demo\n" + steps)
    run["steps"][0]["outputs"] = {"rows": 9}
    part = run["results"]["f-split"]["components"]
    run["results"]["f-split"]["components"] = {
        **part,
        "with": {"value": "${{ steps.other.rows }}"},
        "params": {"value": 9},
    }
    split = lineage.of(run)["split"]
    assert [read.address for read in split.reads] == ["load.rows"]
    assert split.parameters == {"value": 9}
