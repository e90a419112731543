from __future__ import annotations

from msgspec.structs import replace

from e2i.records import lineage
from records.past import altered, digest, past_run, step_of, table, with_result, with_steps


def test_an_input_is_found_by_its_digest_and_a_value_by_its_name() -> None:
    steps = lineage.of(past_run())
    assert [read.address for read in steps["train"].reads] == ["split.train"]
    assert [read.address for read in steps["judge"].reads] == ["split.test", "split.parts", "train.model"]
    assert [(file.path, file.digest) for file in steps["load"].files] == [("data/x.csv", digest("a"))]


def test_what_a_step_came_from_leaves_out_what_it_did_not_read() -> None:
    run = past_run()
    run = with_steps(run, *run.run.steps, replace(step_of(run, "load"), id="aside"))
    assert [step.id for step in lineage.behind(lineage.of(run), "train")] == ["load", "split", "train"]


def test_a_step_without_a_kept_result_came_from_all_that_it_came_after() -> None:
    run = altered(past_run(), "judge", fingerprint=None, status="failed", outputs=None)
    steps = lineage.of(run)
    assert (steps["judge"].components, steps["judge"].reads) == (None, ())
    assert [step.id for step in lineage.behind(steps, "judge")] == ["load", "split", "train", "judge"]


def test_artifacts_within_mappings_and_lists_are_reported_one_by_one() -> None:
    given = {"models": {"a": table("1"), "b": [table("2"), 3]}, "n": 4}
    assert [(output.name, output.digest) for output in lineage.outputs("s", given)] == [
        ("models.a", digest("1")),
        ("models.b.0", digest("2")),
        ("n", None),
    ]


def test_a_cell_reads_from_the_cells_of_the_step_that_it_names() -> None:
    run = past_run()
    names = {"split": "part/split[1]"}
    renamed = (
        replace(step, id=names.get(step.id, step.id), needs=tuple(names.get(need, need) for need in step.needs))
        for step in run.run.steps
    )
    steps = lineage.of(with_steps(run, *renamed))
    assert [read.address for read in steps["judge"].reads] == [
        "part/split[1].test", "part/split[1].parts", "train.model"
    ]  # fmt: skip


def test_the_spec_of_the_run_says_what_is_read_and_not_an_equal_step_whose_result_was_kept() -> None:
    steps = 'steps: {load: {uses: debug.echo}, split: {uses: debug.echo, with: {value: "${{ steps.load.rows }}"}}}\n'
    run = past_run(spec="version: 1\nname: demo\n" + steps)
    run = altered(run, "load", outputs={"rows": 9})
    run = with_result(run, "f-split", written={"value": "${{ steps.other.rows }}"}, params={"value": 9})
    split = lineage.of(run)["split"]
    assert [read.address for read in split.reads] == ["load.rows"]
    assert split.parameters == {"value": 9}
