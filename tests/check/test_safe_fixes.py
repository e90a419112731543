"""Each safe fix of the golden specs, alone: its problem is gone, and it adds none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from e2i import api
from e2i.spec import document, edit
from e2i.spec.problems import Problem

BAD = Path(__file__).parents[1] / "golden" / "bad"
UNCOVERS = {
    "actions-of-other-tools": "with its path, the file can be looked for",
    "data_diff_columns": "with its key, the other columns can be compared",
    "models_made_wrong": "with its target, features that leak it can be looked for",
    "missing_suite": "with its suite, the columns can be compared",
    "operators-of-other-languages": "an expression that can be read has a type",
    "part_outside_the_workspace": "an included spec that is found needs a parameter",
    "python_call_arguments": "with its function, the arguments can be compared",
    "tool_mistyped": "the parameters of a known action can be checked",
    "unknown_action": "the parameters of a known action can be checked",
    "unknown_root": "with a known root, the step can be looked for",
    "view_without_its_columns": "with its entity, the columns can be compared",
}
"""Specs in which a fix makes a second mistake of the same value visible, and the reason."""
INTERNAL = re.compile(r"union\[|tuple\[|dict\[|function-|discriminator|instance of|valid dictionary|after validation")


def fixable() -> Iterator[tuple[str, str]]:
    for path in sorted(BAD.glob("*.yaml")):
        text = path.read_bytes().decode("utf-8", "replace")
        if document.read(text, "spec.yaml")[0] is not None:
            yield path.stem, text


def errors(problems: Sequence[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity == "error"]


@pytest.fixture(scope="module")
def workspace() -> api.Workspace:
    return api.Workspace.open(root=BAD, environ={})


@pytest.mark.parametrize(("stem", "text"), list(fixable()), ids=lambda value: value if "\n" not in value else "")
def test_each_safe_fix_lowers_the_number_of_problems(stem: str, text: str, workspace: api.Workspace) -> None:
    before = api.validate(text, workspace=workspace).problems
    found, _ = document.read(text, "spec.yaml")
    assert found is not None
    for problem in before:
        if not problem.fixes or (changed := _patched(found, problem)) is None:
            continue
        after = api.validate(changed, workspace=workspace).problems
        here = [(one.code, one.path, one.message) for one in after]
        assert (problem.code, problem.path, problem.message) not in here, changed
        if stem not in UNCOVERS:
            assert len(errors(after)) < len(errors(before)) or problem.severity == "warning", (str(problem), changed)
            assert {one.code for one in errors(after)} <= {one.code for one in before}, (str(problem), changed)


def _patched(found: document.Document, problem: Problem) -> str | None:
    """The text after the operations, each of which builds on the previous ones."""
    text: str | None = found.text
    for operation in problem.fixes:
        now, _ = document.read(text or "", "spec.yaml")
        text = edit.patch(now, [operation]) if now is not None else None
        if text is None:
            return None
    return text


@pytest.mark.parametrize("path", sorted(BAD.glob("*.out")), ids=lambda path: path.stem)
def test_no_message_has_names_of_the_validator(path: Path) -> None:
    said = [line for line in path.read_text("utf-8").splitlines() if re.search(r": (error|warning): |^ +=", line)]
    assert [line for line in said if INTERNAL.search(line)] == []
