"""Write the first spec for a table: load, split, train, evaluate, with the reasons as comments.

In: ``TableFacts``. Out: YAML text.
"""

from __future__ import annotations

from collections.abc import Iterator

from e2i.scaffold.table import TableFacts
from e2i.spec.writing import written

REASONS = {
    "key": "identifies rows",
    "constant": "one value",
    "empty": "no value",
    "text": "too many different texts",
    "time": "a time",
}


def for_table(name: str, path: str, facts: TableFacts) -> str:
    """Return the spec that trains a model of ``facts.target`` on the table at ``path``, relative to the workspace."""
    return "\n".join(_lines(name, path, facts)) + "\n"


def _lines(name: str, path: str, facts: TableFacts) -> Iterator[str]:
    target = written(facts.target)
    yield "# yaml-language-server: $schema=../pipeline.v1.json"
    yield "version: 1"
    yield f"name: {name}"
    yield f"description: {written(f'Predicts {facts.target} from {path}.')}"
    yield ""
    yield "params:"
    yield "  seed: {type: integer, default: 7, description: Seed of every random choice}"
    yield ""
    yield "steps:"
    yield from _load(path, facts)
    table = "load"
    if not facts.is_target_complete:
        table = "known"
        yield f"  {table}:  # rows without a target can neither be learned from nor judged on"
        yield "    uses: data.select"
        yield "    with:"
        yield "      table: ${{ steps.load.table }}"
        yield f"      where: [{{column: {target}, op: not_null}}]"
        yield ""
    yield "  split:"
    yield "    uses: data.split"
    if facts.entity:
        by = written(facts.entity)
        yield f"    with:  # all rows of one {_plain(facts.entity)} fall in one part"
        yield f'      {{table: "${{{{ steps.{table}.table }}}}", strategy: entity, by: {by}}}'
    else:
        yield f'    with: {{table: "${{{{ steps.{table}.table }}}}", strategy: random}}'
    yield ""
    yield "  train:"
    yield "    uses: model.train"
    yield "    with:"
    yield "      table: ${{ steps.split.train }}"
    yield "      validation: ${{ steps.split.validation }}"
    yield f"      target: {target}"
    yield f"      task: {facts.task}"
    yield "      algorithm: XGBoost"
    yield "      early_stopping: {rounds: 20}"
    excluded = [column for column in facts.columns if column.role in REASONS]
    if excluded:
        yield "      exclude:"
        yield from (f"        - {written(column.name)}  # {REASONS[column.role]}" for column in excluded)
    yield ""
    yield "  evaluate:"
    yield "    uses: model.evaluate"
    yield '    with: {model: "${{ steps.train.model }}", table: "${{ steps.split.test }}"}'
    yield ""
    yield "outputs:"
    yield "  test: ${{ steps.evaluate.metrics }}"
    yield "  intervals: ${{ steps.evaluate.intervals }}"


def _load(path: str, facts: TableFacts) -> Iterator[str]:
    yield "  load:"
    yield "    uses: data.load"
    yield "    with:"
    yield f"      path: {written(path)}"
    yield from (f"      {name}: {written(value)}" for name, value in facts.dialect.items())
    if texts := [column.name for column in facts.columns if column.read_as == "string"]:
        yield "      types:  # identifiers with leading zeros, not numbers"
        yield from (f"        {written(name)}: string" for name in texts)
    if times := [column.name for column in facts.columns if column.read_as == "time"]:
        yield f"      parse_dates: [{', '.join(map(written, times))}]"
    yield ""


def _plain(value: str) -> str:
    """The text on one line of a comment."""
    return " ".join(value.split())
