"""``suite: default`` and the suites that e2i ships: which one is meant, and when its result is reused."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from context import LocalContext
from e2i.catalog.registry import BUILT_IN
from e2i.errors import BadInput, StepError
from e2i.planning import fingerprint
from e2i.planning.inputs import Components
from e2i.settings import Settings
from e2i.tools.dataset import HcpParams
from e2i.tools.dataset.actions import hcp
from e2i.tools.great_expectations import ValidateOutputs, ValidateParams
from e2i.tools.great_expectations.actions import validate
from e2i.tools.great_expectations.suite import FOLDER, SHIPPED
from e2i.workspace import environment
from e2i.workspace.paths import Roots

OWN = "name: {}\nexpectations: [{{type: expect_table_row_count_to_equal, value: 7}}]\n"


def run(ctx: LocalContext, table: Any, **params: Any) -> ValidateOutputs:
    given = {"table": table, "suite": "default", "fail_on": "never", **params}
    return asyncio.run(validate(ValidateParams.model_validate(given), ctx))


def test_the_problem_type_chooses_the_suite(ctx: LocalContext) -> None:
    table = hcp(HcpParams(rows=400), ctx).journeys
    for given, regression in (
        ({"problem_type": "classification"}, False), ({"problem_type": "regression"}, True), ({"target": "target"}, False),
        ({"target": "outcome"}, True), ({"target": "brand"}, False), ({"target": "outcome", "problem_type": "classification"}, False),
    ):  # fmt: skip
        out = run(ctx, table, **given)
        assert ("expect_column_stdev_to_be_between" in [item.type for item in out.results]) is regression
        assert out.success
    assert "great_expectations/e2i_regression_suite" in ctx.attachments
    with pytest.raises(BadInput, match="a problem type, which is not given"):
        run(ctx, table)
    with pytest.raises(StepError, match="no column 'targt'"):
        run(ctx, table, target="targt")


def test_a_file_of_the_workspace_comes_before_a_shipped_suite(tmp_path: Path) -> None:
    suites = {"classification": "mine", "regression": "nowhere"}
    ctx = LocalContext(tmp_path, settings=Settings(tools={"great_expectations": {"default_suites": suites}}))
    rows = ctx.table(pa.table({"y": ["a", "b"]}))
    (ctx.workspace / FOLDER).mkdir(parents=True)
    assert run(ctx, rows, suite="e2i_default_suite").results[0].success, "shipped suites need no file"
    (ctx.workspace / FOLDER / "mine.yaml").write_text(OWN.format("mine"))
    assert run(ctx, rows, target="y").results[0].type == "expect_table_row_count_to_equal"
    with pytest.raises(BadInput, match="no suite 'nowhere', which `default_suites` names for regression"):
        run(ctx, rows, problem_type="regression")
    (ctx.workspace / FOLDER / "default.yaml").write_text(OWN.format("default"))
    assert run(ctx, rows).statistics.evaluated == 1, "a file called default is an ordinary suite"
    ctx.close()


def test_a_result_of_default_depends_on_the_files_and_the_setting_that_it_may_mean(tmp_path: Path) -> None:
    own = f"{FOLDER}/mine.yaml"
    action = BUILT_IN.action("great_expectations.validate")
    assert action is not None

    def parts(suite: str, **suites: str) -> Components:
        settings = Settings(tools={"great_expectations": {"default_suites": suites}})
        around = environment.of(Roots(tmp_path), settings)
        return fingerprint.fixed("great_expectations.validate", action, {"suite": suite}, 1, around)

    (tmp_path / own).parent.mkdir(parents=True)
    (tmp_path / own).write_text(OWN.format("mine"))
    assert parts("mine").files.keys() == {own} == parts("default").files.keys()
    before = fingerprint.static_key(parts("default", regression="mine"))
    assert before != fingerprint.static_key(parts("default", regression="other"))
    (tmp_path / own).write_text(OWN.format("mine") + "# changed\n")
    assert before != fingerprint.static_key(parts("default", regression="mine"))
    assert fingerprint.static_key(parts("x", a="b")) == fingerprint.static_key(parts("x", a="c"))


def test_a_change_of_a_shipped_suite_raises_the_version() -> None:
    found = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(SHIPPED.glob("*.yaml")))).hexdigest()
    action = BUILT_IN.action("great_expectations.validate")
    assert action is not None
    assert (action.version, found[:12]) == (3, "dbfd210c2730"), "raise `version`, so that old results are not reused"
