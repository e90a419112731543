"""Maps keys of other tools to ours: GitHub Actions, GitLab, Airflow, dbt, scikit-learn, MLflow.

In: a key that a spec does not have. Out: our word with a hint, and a fix where the meaning is the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

from e2i.spec import fixes
from e2i.spec.problems import Fixes

Path = tuple[str | int, ...]

SPEC_KEYS = {
    **dict.fromkeys(("jobs", "tasks", "stages", "nodes", "pipeline", "job"), "steps"),
    **dict.fromkeys(("parameters", "inputs", "variables", "vars", "arguments", "args"), "params"),
    **dict.fromkeys(("always", "cleanup", "teardown", "on_exit"), "finally"),
    **dict.fromkeys(("results", "returns"), "outputs"),
    **dict.fromkeys(("title", "id"), "name"),
    **dict.fromkeys(("default", "common"), "defaults"),
}
STEP_KEYS = {
    **dict.fromkeys(("if", "condition", "only_if", "run_if"), "when"),
    **dict.fromkeys(
        ("depends_on", "depends-on", "dependencies", "requires", "upstream", "after", "dependsOn"), "needs"
    ),
    **dict.fromkeys(("inputs", "args", "arguments", "parameters", "params", "config", "kwargs", "input"), "with"),
    **dict.fromkeys(("action", "operator", "tool", "task", "type", "use", "plugin"), "uses"),
    **dict.fromkeys(("strategy", "foreach", "for_each", "map_over", "grid", "loop", "with_items"), "matrix"),
    **dict.fromkeys(("labels", "label", "tag"), "tags"),
}
"""Keys whose value has the same shape under our key, so that only the key changes."""
CONVERTED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(
        ("allow_failure", "ignore_errors", "continue_on_error", "continue-on-error"),
        ("on_error", lambda value: {True: "continue", False: "fail"}[value]),
    ),
    **dict.fromkeys(("timeout-minutes", "timeout_minutes"), ("timeout", lambda value: f"{_positive(value)}m")),
    **dict.fromkeys(("timeout_seconds", "timeout-seconds"), ("timeout", lambda value: f"{_positive(value)}s")),
    **dict.fromkeys(
        ("retries", "max_retries", "retry_count", "max-retries"),
        ("retry", lambda value: {"attempts": _positive(value) + 1}),
    ),
    **dict.fromkeys(("depends_on", "depends-on", "dependencies", "requires", "upstream", "after", "dependsOn"),
                    ("needs", lambda value: [_text(value)])),
    "strategy": ("matrix", lambda value: _only(value, "matrix")),
}  # fmt: skip
"""Keys whose value has another shape under our key, and the function that converts it. It raises for other values."""
OTHERWISE = {
    "name": "a step has no name: its id is its key under steps:, and description: is for people",
    "id": "the id of a step is its key under steps:",
    **dict.fromkeys(
        ("run", "script", "command", "shell", "bash", "cmd"),
        "steps run no shell commands; uses: python.call calls a function in a file",
    ),
    **dict.fromkeys(
        ("on", "schedule", "cron", "trigger", "triggers"), "a spec has no triggers: call e2i-run from cron or CI"
    ),
    "env": "specs read ${{ env.NAME }}; the operator lists the names under env: in config/",
    "secrets": "specs refer to ${{ secrets.NAME }}; the operator lists the names under secrets: in config/",
    **dict.fromkeys(
        ("allow_failure", "ignore_errors", "continue_on_error", "continue-on-error"),
        "on_error: continue lets a run go on after a failure",
    ),
    **dict.fromkeys(
        ("timeout-minutes", "timeout_minutes", "timeout_seconds", "timeout-seconds"),
        "timeout takes a unit: 90s, 5m, 2h",
    ),
    **dict.fromkeys(
        ("retries", "max_retries", "retry_count", "max-retries"), "retry: {attempts: …} counts the first attempt too"
    ),
    **dict.fromkeys(("with_sequence", "batch_size", "batch"), "a matrix runs a step once for each value"),
    "outputs": "outputs of an action need no declaration: use steps.ID.NAME; `e2i catalog ACTION` lists the names",
    "version": "the version of the language is a top-level key of the spec",
}
"""Hints for keys that have no counterpart of the same shape."""


def step_key(path: Path, value: Any, beside: Collection[str]) -> tuple[str, Fixes] | None:
    """Returns the hint for an unknown key of a step, and the fix if its value means the same under our key."""
    return _key(path, value, beside, STEP_KEYS)


def spec_key(path: Path, value: Any, beside: Collection[str]) -> tuple[str, Fixes] | None:
    """Returns the same for a top-level key of a spec."""
    return _key(path, value, beside, SPEC_KEYS)


def _key(path: Path, value: Any, beside: Collection[str], known: dict[str, str]) -> tuple[str, Fixes] | None:
    word = str(path[-1])
    ours = known.get(word)
    if word in CONVERTED and known is STEP_KEYS and not (ours and _has_shape(ours, value)):
        return _converted(path, value, beside)
    if ours is not None:
        same = ours not in beside and _has_shape(ours, value)
        return f'e2i calls it "{ours}"', fixes.moved(path, (*path[:-1], ours)) if same else ()
    if word in OTHERWISE:
        return OTHERWISE[word], ()
    return None


def _converted(path: Path, value: Any, beside: Collection[str]) -> tuple[str, Fixes]:
    """Returns the hint and the fix for a key whose value must be converted."""
    word = str(path[-1])
    ours, convert = CONVERTED[word]
    hint = OTHERWISE.get(word, f'e2i calls it "{ours}"')
    try:
        meant = convert(value)
    except (KeyError, TypeError, ValueError):
        return hint, ()
    to = (*path[:-1], ours)
    said = f"{hint}; write {ours}: {json.dumps(meant, ensure_ascii=False)}"
    return said, () if ours in beside else fixes.moved(path, to) + fixes.replaced(to, meant)


def _positive(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _only(value: Any, key: str) -> Any:
    """Returns the value of the only key of a mapping. Raises TypeError or ValueError for anything else."""
    if not isinstance(value, dict):
        raise TypeError
    (found,) = value.items()
    if found[0] != key or not _has_shape(key, found[1]):
        raise ValueError
    return found[1]


def _has_shape(key: str, value: Any) -> bool:
    """Returns True when the value is valid under our key without changes."""
    match key:
        case "when":
            return isinstance(value, (bool, str))
        case "needs" | "tags":
            return isinstance(value, list)
        case "uses" | "name":
            return isinstance(value, str)
        case "matrix":
            return isinstance(value, dict) and all(isinstance(item, list) for item in value.values())
    return isinstance(value, dict)
