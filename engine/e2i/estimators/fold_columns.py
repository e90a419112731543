"""Check while planning that folds belong to a table and to a model's features. In: parameters. Out: problems."""

from __future__ import annotations

from collections.abc import Iterator

from e2i.catalog.columns import ColumnProblem, Given, KnownFolds, KnownModel, KnownTable
from e2i.spec.problems import Code


def check(given: Given, model: KnownModel, table: str) -> Iterator[ColumnProblem]:
    """Yield what is wrong with the parameter ``folds`` of an action that divides the parameter ``table`` by it."""
    folds, features, rows = given.get("folds"), given.get("features"), given.get(table)
    if not isinstance(folds, KnownFolds):
        return
    if isinstance(rows, KnownTable) and rows.rows.differ(folds.rows):
        hint = f"make the folds from the table in `{table}`"
        yield ColumnProblem(("folds",), "fold-rows", f"the folds divide other rows than those of `{table}`", hint=hint)
    if folds.singly and model.query is not None:
        message = f'the folds divide the rows of a query "{model.query}", which are ranked against each other'
        hint = f"use strategy group, by: {model.query}, in data.folds"
        yield ColumnProblem(("folds",), "split-query", message, hint=hint)
    if folds.by is None or folds.by not in (model.features or ()):
        return
    message = f'the feature "{folds.by}" is the group that the folds keep apart: the model would learn groups by heart'
    if isinstance(features, list | tuple) and folds.by in features:
        path, is_one_of = ("features", list(features).index(folds.by)), len(features) > 1
        yield ColumnProblem(path, "fold-feature", message, hint="remove it from `features`", take_out=is_one_of)
    elif features is None:
        hint, out = f"add to `exclude`: {folds.by}", (folds.by,)
        yield ColumnProblem((table,), "fold-feature", message, hint=hint, leave_out=out)


_CROSS = """steps:
  data: {uses: dataset.hcp}
  folds: {uses: data.folds, with: {table: "${{ steps.data.journeys }}", strategy: group, by: hcp_id}}
  judge:
    uses: model.cross_validate
    with:
      table: ${{ steps.data.journeys }}
      folds: ${{ steps.folds.folds }}
      target: target
"""
_PARTS = """steps:
  data: {uses: dataset.hcp}
  split: {uses: data.split, with: {table: "${{ steps.data.journeys }}", strategy: entity, by: hcp_id}}
  folds: {uses: data.folds, with: {table: "${{ steps.split.train }}", strategy: group, by: hcp_id}}
  judge:
    uses: model.cross_validate
    with:
      folds: ${{ steps.folds.folds }}
      target: target
      features: [region]
"""
_RANKED = """steps:
  data: {uses: dataset.hcp}
  grades:
    uses: table.derive
    with: {table: "${{ steps.data.journeys }}", columns: {grade: "CASE WHEN call_frequency > 4 THEN 2 ELSE 1 END"}}
  judge:
    uses: model.cross_validate
    with:
      table: ${{ steps.grades.table }}
      folds: ${{ steps.folds.folds }}
      target: grade
      objective: rank
      group: region
      features: [specialty, brand]
"""
CODES = (
    Code(
        "split-query",
        "Queries that are divided between training and test",
        "A ranking orders the rows of a query against each other. A part of a query is another, easier query, and rows "
        "of one query that are trained on tell of the others.",
        "Divide by queries: `strategy: group` in data.folds, or `strategy: entity` in data.split, by the query.",
        _RANKED + '  folds: {uses: data.folds, with: {table: "${{ steps.grades.table }}", strategy: kfold}}\n',
        _RANKED
        + '  folds: {uses: data.folds, with: {table: "${{ steps.grades.table }}", strategy: group, by: region}}\n',
    ),
    Code(
        "fold-rows",
        "Folds of another table",
        "Folds say by position which rows are trained on and tested. They fit no other table than the one that they "
        "were made from.",
        "Make the folds from the table that is cross-validated or tuned on, after its last change.",
        _PARTS + "      table: ${{ steps.split.validation }}\n",
        _PARTS + "      table: ${{ steps.split.train }}\n",
    ),
    Code(
        "fold-feature",
        "A feature that is the group of the folds",
        "The folds keep rows of one group together because they are alike. As a feature, the group lets the model "
        "learn each group by heart, and new groups have other values.",
        "Remove the column from `features`, or add it to `exclude`. `e2i fix` does this.",
        _CROSS + "      features: [hcp_id, region]\n",
        _CROSS + "      features: [specialty, region]\n",
    ),
)
