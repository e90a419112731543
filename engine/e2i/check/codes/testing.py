"""Codes of test files and of the command that runs them."""

from __future__ import annotations

from e2i.spec.problems import Code

CODES = (
    Code(
        "bad-fixture",
        "A given output that cannot be read",
        "`given:` has the outputs of steps that do not run. A table is `{rows: …}`, `{csv: …}` or `{file: …}`. Each "
        "value must be one that the action could return.",
        "Correct the value. `e2i catalog ACTION` shows the outputs of an action.",
        example="given: {load: {table: {rows: [{id: one}]}}}, where the column id has integers.",
    ),
    Code(
        "bad-snapshot",
        "A snapshot that cannot be read or written",
        "Snapshots are in `NAME.snapshots.json` beside `NAME.test.yaml`. A table in it has at most 2,000 rows.",
        "Write the snapshots again with `e2i test --update`, or take a smaller table.",
        example="snapshot: [split.train], where the table has 40,000 rows.",
    ),
    Code(
        "input-not-given",
        "A step to test without its input",
        "A case runs only some steps. What these read must be given, or be the output of another step that runs.",
        "Add the output under `given:`, or the step to `run:`.",
        example="run: [split], while the step load, whose table it reads, is not given.",
    ),
    Code(
        "no-such-test",
        "No test file, or no test case",
        "`e2i test` takes test files, specs with a test file beside them, and folders. `-k` selects cases by a part of "
        "`FILE::CASE`.",
        "A test file is `NAME.test.yaml` beside `NAME.yaml`.",
        example="e2i test specs/churn.yaml, where there is no specs/churn.test.yaml.",
    ),
)
