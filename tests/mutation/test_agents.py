"""Specs as language models write them: a scripted agent that only applies fixes and hints makes them valid in one round."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from e2i import api
from e2i.scaffold import adding as adding_steps
from e2i.spec import document, edit
from e2i.spec.operations import Add, Remove, Replace
from e2i.spec.problems import Problem, pointer

GOOD = """version: 1
name: asked
params:
  trees: {type: integer, default: 50, min: 1}
  depth: {type: integer, default: 3}
steps:
  data:
    uses: dataset.hcp
    timeout: 10m
  known:
    uses: data.select
    with:
      table: ${{ steps.data.journeys }}
      where: [{column: call_frequency, op: ge, value: 0}]
  split:
    uses: data.split
    needs: [data]
    with:
      table: ${{ steps.known.table }}
      strategy: entity
      by: hcp_id
  train:
    uses: model.train
    when: ${{ params.trees > 0 }}
    on_error: continue
    with:
      table: ${{ steps.split.train }}
      target: target
      algorithm: RandomForest
      features: [brand, specialty, region]
      params: {max_depth: "${{ params.depth }}"}
  base:
    uses: model.train
    retry: {attempts: 2}
    with: {table: "${{ steps.split.train }}", target: target, features: [brand]}
  judge:
    uses: model.evaluate
    with: {model: "${{ steps.base.model }}", table: "${{ steps.split.test }}"}
  count:
    uses: debug.echo
    with: {value: "${{ 1 if params.depth > 2 and params.trees > 1 else 0 }}"}
outputs:
  metrics: ${{ steps.judge.metrics }}
  rows: ${{ steps.known.table.rows }}
  trained: ${{ steps.train.metrics | default({}) }}
"""
MISTAKES = {
    "if": ("    when: ${{", "    if: ${{"),
    "depends_on": ("needs: [data]", "depends_on: [data]"),
    "one for a list": ("needs: [data]", "needs: data"),
    "retries": ("retry: {attempts: 2}", "retries: 2"),
    "timeout in seconds": ("timeout: 10m", "timeout: 600"),
    "outputs of a step": ("steps.split.test }}", "steps.split.outputs.test }}"),
    "beside with": (
        "    with:\n      table: ${{ steps.known.table }}\n      strategy: entity\n      by: hcp_id\n",
        "    table: ${{ steps.known.table }}\n    strategy: entity\n    by: hcp_id\n",
    ),
    "braces without $": ('value: "${{ 1 if', 'value: "{{ 1 if'),
    "reference without braces": ("table: ${{ steps.split.train }}", "table: steps.split.train"),
    "condition without braces": ("when: ${{ params.trees > 0 }}", "when: params.trees > 0"),
    "operator": ("op: ge", 'op: ">="'),
    "type": ("depth: {type: integer", "depth: {type: int"),
    "target_column": ("      target: target\n", "      target_column: target\n"),
    "algorithm's class": ("algorithm: RandomForest\n", "algorithm: RandomForestClassifier\n"),
    "and": (" and params.trees", " && params.trees"),
    "column": ("[brand, specialty, region]", "[brand, speciality, region]"),
    "hyperparameter": ("max_depth:", "max_dept:"),
    "action": ("uses: model.evaluate", "uses: model.evalute"),
    "action of another tool": ("uses: dataset.hcp\n", "uses: dataset.hpc\n"),
    "output": ("steps.data.journeys", "steps.data.journey"),
    "step": ("steps.base.model", "steps.bases.model"),
    "parameter": ("params.depth }}", "params.dept }}"),
    "number in quotes": ("default: 50", 'default: "50"'),
    "bare braces": ("metrics: ${{ steps.judge.metrics }}", "metrics: {{ steps.judge.metrics }}"),
    "missing space": ("strategy: entity", "strategy:entity"),
    "duplicate": ("    on_error: continue\n", "    on_error: continue\n    on_error: continue\n"),
}  # fmt: skip
"""What is written instead of a text of the good spec."""


def broken(rng: Random) -> tuple[str, tuple[str, ...]]:
    """A spec with one to five mistakes in different lines."""
    text, made = GOOD, []
    for name in rng.sample(sorted(MISTAKES), rng.randint(1, 5)):
        right, wrong = MISTAKES[name]
        if right in text:
            text = text.replace(right, wrong, 1)
            made.append(name)
    return text, tuple(made)


def repaired(text: str, workspace: api.Workspace, file: Path | None = None) -> tuple[str, tuple[Problem, ...]]:
    """The text after one round of the agent: all safe fixes, then each hint that names what to write.

    ``file`` is where the text is, if it is in a file of the workspace.
    """
    if file is not None:
        file.write_text(text, "utf-8")
    fixed = api.fix(text if file is None else file, workspace=workspace)
    after = fixed.text
    for problem in fixed.remaining:
        hint = problem.hint or ""
        nested = re.match(r"(\w+): \{(\w+): …\}", hint)
        named = re.search(r'(?:did you mean|e2i calls it|write) "([^"]+)"|use ([a-z_]+\.[a-z_]+):', hint)
        members = re.findall(r"steps\.[\w.]+", hint) if hint.startswith("refer to a member") else []
        adding = re.search(r"add it: `e2i add (\w+) --uses ([\w.]+)`", hint)
        needless = re.match(r'remove "(\w+)" from needs of step "(\w+)"', hint)
        found, _ = document.read(after, "<text>")
        if nested and found is not None and found.has(path := _path(problem)):
            wrapped = Add(path=pointer((*path[:-1], nested[1])), value={nested[2]: found.value(path)})
            after = edit.patch(found, [Remove(path=problem.path), wrapped]) or after
        elif found is None or problem.severity != "error":
            continue
        elif adding and adding[1] not in found.data.get("steps", {}):
            after = adding_steps.add(after, adding[1], adding[2], workspace).text
        elif needless and needless[1] in (needs := found.value(("steps", needless[2], "needs")) or ()):
            left = [name for name in needs if name != needless[1]]
            after = edit.patch(found, [Replace(path=pointer(("steps", needless[2], "needs")), value=left)]) or after
        elif members:  # the one with which the fewest errors are left
            tried = [Replace(path=problem.path, value=f"${{{{ {member} }}}}") for member in members]
            texts = [edit.patch(found, [one]) or after for one in tried]
            after = min(texts, key=lambda text: len(api.validate(text, workspace=workspace).errors))
        elif named:
            value = _respelled(found.value(_path(problem)), problem.message, named[1] or named[2])
            after = edit.patch(found, [Replace(path=problem.path, value=value)]) or after
    if file is not None:
        file.write_text(after, "utf-8")
    return after, api.validate(after if file is None else file, workspace=workspace).errors


def _respelled(value: object, message: str, right: str) -> str:
    """The text with the name that the message quotes replaced, or all of it."""
    quoted = re.findall(r'"([^"]+)"', message)
    wrong = quoted[-1] if quoted else ""
    if not isinstance(value, str) or "${{" not in value or not wrong:
        return right
    return re.sub(rf"(?<!\w){re.escape(wrong)}(?!\w)", right, value)


def _path(problem: Problem) -> tuple[str, ...]:
    return tuple(problem.path.split("/")[1:])


@pytest.mark.parametrize("count", [5, pytest.param(200, marks=pytest.mark.slow)])
def test_an_agent_that_applies_fixes_and_hints_has_a_valid_spec_after_one_round(count: int, tmp_path: Path) -> None:
    workspace = api.Workspace.open(root=tmp_path, environ={})
    assert api.validate(GOOD, workspace=workspace).errors == ()
    assert repaired(GOOD, workspace)[0] == GOOD, "a good spec stays as it is"
    left: Counter[tuple[str, ...]] = Counter()
    for seed in range(count):
        text, made = broken(Random(seed))
        assert api.validate(text, workspace=workspace).problems, made
        _, errors = repaired(text, workspace)
        left[tuple(sorted(f"{error.code} {error.path}: {error.message}" for error in errors))] += 1
    assert left[()] / count >= 0.95, left.most_common(8)
