"""Specs that are valid and fail late: each with the step that fails, and whether its columns or types alone show it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROWS = 3_000
LATE = """
import pandas as pd


def renamed(table: pd.DataFrame):
    return table.rename(columns={"amount": "total"})


def texts(table: pd.DataFrame):
    return table.assign(amount=table["amount"].map("{} euro".format))


def ratio(table: pd.DataFrame):
    return sum(table["amount"]) / int((table["age"] < 0).sum())


def absent(table: pd.DataFrame):
    return table["amuont"].sum()


def facts(table: pd.DataFrame):
    return {"rows": len(table)}


def doubled(table: pd.DataFrame):
    return pd.concat([table, table])


def imports(table: pd.DataFrame):
    import a_package_that_nobody_has

    return table


def some(table: pd.DataFrame):
    return table[["person", "day"]]


def two_of_a_name(table: pd.DataFrame):
    return pd.concat([table, table[["amount"]]], axis=1)


def gate(table: pd.DataFrame):
    share = (table["bought"] == 1).mean()
    if share < 0.9:
        raise ValueError(f"only {share:.2f} have bought")


def unplain(table: pd.DataFrame):
    return {"kept": object()}
"""
PYTHON = "uses: python.call, with: {{file: late.py, function: {}, arguments: {{table: '${{{{ steps.load.table }}}}'}}}}"


def python(function: str) -> str:
    return "{" + PYTHON.format(function) + "}"


class Planted(NamedTuple):
    """A defect."""

    steps: str
    failing: str
    columns: bool = False
    """True when ``--empty`` finds it."""


PLANTED: dict[str, Planted] = {
    "python_renames_a_feature": Planted(
        f"""
  change: {python("renamed")}
  train: {{uses: model.train, with: {{table: "${{{{ steps.change.table }}}}", target: bought, features: [amount, age], algorithm: LogisticRegression}}}}
""",
        "train",
        columns=True,
    ),
    "sql_of_a_renamed_column": Planted(
        f"""
  change: {python("renamed")}
  sum: {{uses: sql.query, with: {{tables: {{t: "${{{{ steps.change.table }}}}"}}, query: SELECT sum(amount) AS s FROM t}}}}
""",
        "sum",
        columns=True,
    ),
    "python_makes_texts_of_numbers": Planted(
        f"""
  change: {python("texts")}
  twice: {{uses: table.derive, with: {{table: "${{{{ steps.change.table }}}}", columns: {{twice: amount * 2}}}}}}
""",
        "twice",
    ),
    "python_drops_the_key_of_a_join": Planted(
        f"""
  change: {python("some")}
  grouped: {{uses: table.aggregate, with: {{table: "${{{{ steps.change.table }}}}", by: [region], columns: {{n: {{fn: count}}}}}}}}
""",
        "grouped",
        columns=True,
    ),
    "python_looks_for_a_column": Planted(f"\n  look: {python('absent')}\n", "look", columns=True),
    "python_imports_what_is_not_installed": Planted(f"\n  look: {python('imports')}\n", "look", columns=True),
    "python_names_a_column_twice": Planted(f"\n  look: {python('two_of_a_name')}\n", "look", columns=True),
    "python_divides_by_zero": Planted(f"\n  look: {python('ratio')}\n", "look"),
    "python_is_a_gate": Planted(f"\n  look: {python('gate')}\n", "look"),
    "python_returns_an_object": Planted(f"\n  look: {python('unplain')}\n", "look", columns=True),
    "an_expression_reads_what_python_does_not_return": Planted(
        f"""
  count: {python("facts")}
  echo: {{uses: debug.echo, with: {{value: "${{{{ steps.count.value.lines + 1 }}}}"}}}}
""",
        "echo",
        columns=True,
    ),
    "a_suite_fails": Planted(
        """
  quality:
    uses: great_expectations.validate
    with:
      table: ${{ steps.load.table }}
      suite: [{type: expect_column_values_to_be_between, column: age, min_value: 30, max_value: 120}]
""",
        "quality",
    ),
    "a_class_is_missing_in_a_fold": Planted(
        """
  bought: {uses: data.select, with: {table: "${{ steps.load.table }}", where: [{column: bought, op: eq, value: 1}]}}
  train: {uses: model.train, with: {table: "${{ steps.bought.table }}", target: bought, features: [amount, age], task: classification, algorithm: LogisticRegression}}
""",
        "train",
    ),
    "a_text_is_no_number": Planted(
        """
  cast: {uses: table.cast, with: {table: "${{ steps.load.table }}", columns: {region: integer}}}
""",
        "cast",
    ),
    "a_key_is_there_several_times": Planted(
        """
  join: {uses: table.join, with: {left: "${{ steps.load.table }}", right: "${{ steps.regions.table }}", on: [region]}}
""",
        "join",
    ),
    "a_key_of_an_upsert_is_not_one": Planted(
        """
  write: {uses: database.write, with: {table: "${{ steps.load.table }}", connection: local, into: people, mode: upsert, key: [region]}}
""",
        "write",
    ),
    "no_row_is_left": Planted(
        """
  none: {uses: data.select, with: {table: "${{ steps.load.table }}", where: [{column: age, op: gt, value: 500}]}}
""",
        "none",
    ),
    "a_model_is_not_good_enough": Planted(
        """
  split: {uses: data.split, with: {table: "${{ steps.load.table }}", strategy: entity, by: person}}
  train: {uses: model.train, with: {table: "${{ steps.split.train }}", target: bought, features: [amount, age], algorithm: LogisticRegression}}
  judge: {uses: model.evaluate, with: {model: "${{ steps.train.model }}", table: "${{ steps.split.test }}"}}
  gate: {uses: debug.fail, when: "${{ steps.judge.metrics.roc_auc < 0.99 }}", with: {message: too bad}}
""",
        "gate",
    ),
    "a_model_meets_other_columns": Planted(
        f"""
  train: {{uses: model.train, with: {{table: "${{{{ steps.load.table }}}}", target: bought, features: [amount, age], algorithm: LogisticRegression}}}}
  change: {python("some")}
  predict: {{uses: model.predict, with: {{model: "${{{{ steps.train.model }}}}", table: "${{{{ steps.change.table }}}}"}}}}
""",
        "predict",
        columns=True,
    ),
    "a_condition_is_no_truth": Planted(
        f"""
  count: {python("facts")}
  echo: {{uses: debug.echo, when: "${{{{ steps.count.value.rows }}}}", with: {{value: 1}}}}
""",
        "echo",
        columns=True,
    ),
}
HEAD = """\
version: 1
name: planted
steps:
  load: {uses: data.load, with: {path: people.csv}}
  regions: {uses: data.load, with: {path: regions.csv}}"""


def write(root: Path) -> None:
    """Writes the data and the functions of the specs."""
    rows = [
        f"{index % 700},{index % 365},{index % 50 + 18},{index * 7 % 100},{('north', 'south')[index % 2]},{int(index % 9 == 0)}"
        for index in range(ROWS)
    ]
    (root / "people.csv").write_text("\n".join(["person,day,age,amount,region,bought", *rows, ""]))
    (root / "regions.csv").write_text("region,boss\nnorth,a\nnorth,b\nsouth,c\n")
    (root / "late.py").write_text(LATE)


def spec(name: str) -> str:
    """Returns the text of a spec."""
    return HEAD + PLANTED[name].steps
