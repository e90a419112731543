from __future__ import annotations

import pytest

from e2i.spec.load import LoadedSpec, load
from e2i.spec.operations import Move

HEAD = "version: 1\nname: n\n"


def loaded(text: str) -> LoadedSpec:
    found, problems = load(text, "s.yaml")
    assert found is not None, problems
    return found


def test_a_spec_is_validated_in_shape_only() -> None:
    spec = loaded(HEAD + "steps: {a: {uses: no.such, with: {x: [1, {y: 2}]}, needs: [b]}}\n").spec
    assert spec.steps["a"].with_ == {"x": [1, {"y": 2}]}
    assert spec.steps["a"].needs == ("b",)


def test_all_problems_of_shape_come_at_once_in_the_order_of_the_file() -> None:
    found, problems = load("version: 3\nnmae: n\nsteps:\n  a: {uses: x.y, tiemout: 3s, on_error: maybe}\n", "s.yaml")
    assert found is not None and not found.is_whole
    assert [(problem.code, problem.location.line) for problem in problems] == [
        ("bad-value", 1), ("unknown-key", 2), ("unknown-key", 4), ("bad-value", 4),
    ]  # fmt: skip
    assert problems[1].fixes == (Move(source="/nmae", path="/name"),)


def test_a_mistyped_key_is_not_missing_as_well() -> None:
    _, problems = load("vresion: 1\nname: n\nstpes: {a: {sues: x.y}}\n", "s.yaml")
    assert [(problem.code, problem.path) for problem in problems] == [
        ("unknown-key", "/vresion"), ("unknown-key", "/stpes"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "option", ["cache: yes", "cache: 'true'", "cache: 1", "retry: {attempts: '3'}", "resources: {threads: true}"]
)
def test_options_are_of_their_types_and_not_only_convertible_to_them(option: str) -> None:
    _, problems = load(HEAD + f"steps:\n  a: {{uses: x.y, {option}}}\n", "s.yaml")
    assert [problem.code for problem in problems] == ["bad-value"]


def test_a_fix_never_overwrites_a_key_that_is_there() -> None:
    _, problems = load(HEAD + "steps:\n  a: {uses: x.y, with: {v: 1}, wiht: {v: 2}}\n", "s.yaml")
    assert [problem.fixes for problem in problems] == [()]


def test_defaults_lie_under_every_step_key_by_key() -> None:
    spec = loaded(
        HEAD
        + "defaults: {timeout: 1m, retry: {attempts: 3, max: 9s}}\n"
        + "steps:\n  a: {uses: x.y, retry: {initial: 2s}}\n  b: {uses: x.y, timeout: 2m}\n"
    ).spec
    one, two = spec.options(spec.steps["a"]), spec.options(spec.steps["b"])
    assert (one.timeout, one.retry.attempts, one.retry.initial, one.retry.max) == ("1m", 3, "2s", "9s")
    assert (two.timeout, two.retry.attempts, two.retry.initial) == ("2m", 3, "1s")
