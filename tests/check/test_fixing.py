"""Certain fixes, applied: the problem is gone, and nothing else has changed."""

from __future__ import annotations

import difflib
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from e2i import api, route
from e2i.check.fixing import Fixed, fix_all, fix_text
from e2i.spec.operations import Remove, Replace
from e2i.spec.problems import Location, Problem

REPOSITORY = Path(__file__).parents[2]
BAD = sorted((REPOSITORY / "tests" / "golden" / "bad").glob("*.yaml"))


@pytest.fixture(scope="module")
def workspace() -> api.Workspace:
    return api.Workspace.open(root=REPOSITORY, environ={})


def check(workspace: api.Workspace, file: str) -> Callable[[str], Sequence[Problem]]:
    return lambda text: route.examine(api.Source(text, file), workspace, {}, require_params=False).problems


@pytest.mark.parametrize("spec", BAD, ids=lambda path: path.stem)
def test_a_mended_spec_has_no_problem_with_a_fix_left_and_keeps_its_other_lines(
    spec: Path, workspace: api.Workspace
) -> None:
    fixed = api.fix(spec, workspace=workspace)
    left = api.fix(fixed.text + "\n" * (not fixed.text.endswith("\n")), workspace=workspace)
    assert left.applied == ()
    assert [problem for problem in fixed.remaining if problem.fixes and problem.location.file == str(spec)] == []
    assert _lines_kept(spec.read_bytes().decode("utf-8", "replace").removeprefix("\ufeff"), fixed)


def _lines_kept(before: str, fixed: Fixed) -> bool:
    """No more lines are gone than operations were done, plus those that one removal takes with it."""
    old, new = before.splitlines(keepends=True), fixed.text.splitlines(keepends=True)
    gone = sum(
        end - start for tag, start, end, _, _ in difflib.SequenceMatcher(a=old, b=new).get_opcodes() if tag != "equal"
    )
    return gone <= 3 * sum(len(problem.fixes) or 1 for problem in fixed.applied)


TYPES_OF_MISTAKE: dict[str, tuple[str, str]] = {
    "key of a step": ("    uses: optuna.tune", "    usse: optuna.tune"),
    "action": ("uses: model.train", "uses: model.trian"),
    "action in the wrong case": ("uses: shap.explain", "uses: SHAP.explain"),
    "parameter": ("      target: late\n      exclude", "      taget: late\n      exclude"),
    "step": ("needs: [quality]", "needs: [qualty]"),
    "step in a reference": (
        "${{ steps.split.train }}\n      validation",
        "${{ steps.splitt.train }}\n      validation",
    ),
    "output": ("table: ${{ steps.join.table }}", "table: ${{ steps.join.tabel }}"),
    "pipeline parameter": ("${{ params.trials }}", "${{ params.trails }}"),
    "root": ("repo: ${{ steps.features.repo }}\n\n", "repo: ${{ step.features.repo }}\n\n"),
    "choice": ("strategy: time", "strategy: tme"),
    "choice in the wrong case": ("stage: production", "stage: Production"),
    "number in quotes": ("default: 12,", 'default: "12",'),
    "missing quotes": ('{rows: "${{ params.rows }}"}', "{rows: ${{ params.rows }}}"),
    "short form": ("  retry: {attempts: 3, backoff: exponential, initial: 1s, max: 30s}", "  retry: 3"),
    "unit in words": ("timeout: 2h", "timeout: 2 hours"),
    "one value for a list": ("needs: [quality]", "needs: quality"),
    "no version": ("version: 1\n", ""),
}
FLAGSHIP = (REPOSITORY / "specs" / "flight_delays.yaml").read_text("utf-8")


@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("mistake", TYPES_OF_MISTAKE.values(), ids=TYPES_OF_MISTAKE)
def test_a_mistake_in_the_flagship_is_mended_to_the_letter(
    mistake: tuple[str, str], line_end: str, workspace: api.Workspace
) -> None:
    right, wrong = mistake
    assert right in FLAGSHIP
    broken = FLAGSHIP.replace(right, wrong, 1).replace("\n", line_end)
    assert broken != FLAGSHIP
    problems = check(workspace, "spec.yaml")(broken)
    assert problems, "the mistake is found"
    fixed = fix_text(broken, "spec.yaml", check(workspace, "spec.yaml"))
    assert fixed.valid, [str(problem) for problem in fixed.remaining]
    if wrong != "  retry: 3":
        assert fixed.text == FLAGSHIP.replace("\n", line_end)
    else:
        assert fixed.text == broken.replace("  retry: 3", "  retry: {attempts: 3}")


def test_many_mistakes_at_once_are_all_mended(workspace: api.Workspace) -> None:
    chosen = [name for name in TYPES_OF_MISTAKE if name not in ("short form", "one value for a list")]
    random.Random(7).shuffle(chosen)
    broken = FLAGSHIP
    for name in chosen:
        broken = broken.replace(*TYPES_OF_MISTAKE[name], 1)
    fixed = fix_text(broken, "spec.yaml", check(workspace, "spec.yaml"))
    assert fixed.text == FLAGSHIP
    assert len(fixed.applied) >= len(chosen)


def test_fixes_that_undo_each_other_come_to_an_end() -> None:
    def back_and_forth(text: str) -> list[Problem]:
        other = "y" if text == "a: x\n" else "x"
        fix = Replace(path="/a", value=other)
        return [Problem("restless", "never right", Location("f", 1, 4), "/a", fixes=(fix,))]

    fixed = fix_text("a: x\n", "f", back_and_forth)
    assert fixed.text == "a: y\n"
    assert len(fixed.applied) == 1


def test_a_fix_that_cannot_be_made_stops_no_other() -> None:
    def two(text: str) -> list[Problem]:
        good = Replace(path="/a", value=2)
        wrong = Remove(path="/nowhere/at/all")
        fixes = [("first", wrong), *([("second", good)] if text == "a: 1\nb: 1\n" else [])]
        return [Problem(code, code, Location("f", 1, 1), fix.path, fixes=(fix,)) for code, fix in fixes]

    fixed = fix_text("a: 1\nb: 1\n", "f", two)
    assert fixed.text == "a: 2\nb: 1\n"
    assert [problem.code for problem in fixed.remaining] == ["first"]


def test_problems_of_another_file_are_left_to_it() -> None:
    fix = Replace(path="/a", value=2)
    problem = Problem("elsewhere", "wrong", Location("part.yaml", 1, 1), "/a", fixes=(fix,))
    assert fix_text("a: 1\n", "f", lambda text: [problem]).text == "a: 1\n"


def test_fixes_of_two_files_that_undo_each_other_end() -> None:
    def at_odds(texts: Mapping[str, str]) -> list[Problem]:
        """Whichever file says the same as the other is wrong, and should say the contrary."""
        values = {name: int(text.removeprefix("a: ")) for name, text in texts.items()} | {
            "p": int(texts.get("p", "a: 1")[3:])
        }
        other = {"f": "p", "p": "f"}
        return [
            Problem("x", "", Location(name, 1, 4), "/a", fixes=(Replace(path="/a", value=values[name] + 1),))
            for name in sorted(values)
            if values[name] <= values[other[name]]
        ]

    fixed = fix_all("a: 1\n", "f", lambda name: "a: 1\n", at_odds)
    assert 1 <= len(fixed.applied) <= 50_000
    assert set(fixed.included) == {"p"}


def test_a_part_that_is_not_to_be_changed_stays() -> None:
    problem = Problem("x", "", Location("p", 1, 4), "/a", fixes=(Replace(path="/a", value=2),))
    fixed = fix_all("b: 1\n", "f", lambda name: None, lambda texts: [problem])
    assert (fixed.text, fixed.applied, fixed.remaining, fixed.included) == ("b: 1\n", (), (problem,), {})
