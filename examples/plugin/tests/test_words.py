"""The words tool keeps to the contract of tools, and counts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from e2i_words import CountParams, RankParams, actions
from e2i_words.algorithms import ALGORITHMS

from e2i.catalog.extensible import Named
from e2i.errors import StepError
from e2i.estimators.making import fit, make
from e2i.testing import contract
from e2i.testing.context import LocalContext

NOTES = ["one two", "Two", None, ""]


@pytest.mark.parametrize("rule", contract.RULES, ids=contract.name_of)
def test_the_contract_of_a_tool(rule: contract.Rule, tmp_path: Path) -> None:
    rule(contract.Subject.of("words", tmp_path, {"data/notes.csv": "note\none two\n"}))


def test_words_are_counted_text_by_text(tmp_path: Path) -> None:
    ctx = LocalContext(tmp_path)
    table = ctx.table(pd.DataFrame({"note": NOTES}))
    counted = ctx.frame(actions.count(CountParams(table=table, column="note"), ctx).table)
    assert counted["words"].tolist() == [2, 1, 0, 0]
    assert actions.rank(RankParams(table=table, column="note", top=1), ctx).words == {"two": 2}


def test_its_algorithm_learns(tmp_path: Path) -> None:
    table, target = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]}), [0, 0, 1, 1]
    tree = fit(make(Named("DecisionTree", ALGORITHMS["DecisionTree"]), "classification", {}, seed=1), table, target, {})
    assert tree.predict(table).tolist() == target


def test_a_column_that_is_missing_is_an_error_of_the_user(tmp_path: Path) -> None:
    ctx = LocalContext(tmp_path)
    table = ctx.table(pd.DataFrame({"note": NOTES}))
    with pytest.raises(StepError, match='no column "text"'):
        actions.count(CountParams(table=table, column="text"), ctx)
