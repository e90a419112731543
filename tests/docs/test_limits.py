"""``docs/security.md``: its table of limits says what the code holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from e2i.check import actions, fixing, parameters
from e2i.policy import Budgets
from e2i.report import layout
from e2i.spec import expressions, formula, included, problems, scalars, values
from e2i.spec.composer import Limits
from e2i.spec.expansion import expand, matrix
from e2i.tools.data import files, header

TEXT = (Path(__file__).parents[2] / "docs" / "security.md").read_text("utf-8")
TABLE = dict(re.findall(r"^\| ([^|]+?) \| ([\d,]+) \|$", TEXT.partition("## Limits\n")[2].partition("\n## ")[0], re.M))
HELD = {
    "bytes of a spec": Limits().bytes,
    "values of a spec": Limits().values,
    "levels of nesting": Limits().depth,
    "characters that aliases add": Limits().aliased,
    "parameters of a pipeline": Limits().params,
    "characters of a key": scalars.LONGEST_KEY,
    "problems that are reported": problems.MOST,
    "steps": Budgets().steps,
    "combinations of a matrix": matrix.MAX_COMBINATIONS,
    "values in the combinations of a matrix": matrix.MAX_VALUES,
    "included specs of a pipeline": expand.MAX_INSTANCES,
    "levels of included specs": included.MAX_DEPTH,
    "characters of an expression": expressions.MAX_LENGTH,
    "expressions in a text": expressions.MAX_EXPRESSIONS,
    "parts of an expression": formula.MAX_NODES,
    "levels of an expression": formula.MAX_NESTING,
    "characters that an expression makes": values.MAX_CHARACTERS,
    "values that an expression makes": values.MAX_ITEMS,
    "work of an expression": values.MAX_WORK,
    "values of all steps' `with` together": actions.MOST_VALUES,
    "bytes of the files that a check reads": actions.MOST_BYTES,
    "columns that a check follows": parameters.MOST_COLUMNS,
    "bytes of a table's header line": files.LONGEST,
    "bytes of the footer of a Parquet or Arrow file": header.FOOTER,
    "elements of a Parquet file's schema": header.MOST_ELEMENTS,
    "characters that one `e2i fix` checks before its last round": fixing.MOST_CHECKED,
    "boxes of a drawing": layout.MOST_DRAWN,
}


@pytest.mark.parametrize("limit", sorted(HELD.keys() | TABLE.keys()))
def test_a_limit_is_documented_as_the_code_holds_it(limit: str) -> None:
    assert TABLE.get(limit) == f"{HELD[limit]:,}"


def test_the_budgets_of_people_are_the_limits_of_reading() -> None:
    assert (Budgets().bytes, Budgets().values, Budgets().combinations) == (
        Limits().bytes,
        Limits().values,
        matrix.MAX_COMBINATIONS,
    )
