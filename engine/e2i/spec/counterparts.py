"""Keys of other workflow languages go in; how the same is written here comes out."""

from __future__ import annotations

from collections.abc import Collection, Mapping

_WRITTEN = {
    "finally": "finally: {ID: {uses: TOOL.ACTION}}",
    "matrix": "matrix: {NAME: [VALUE]}",
    "needs": "needs: [STEP]",
    "on_error": "on_error: continue",
    "params": "params: {NAME: {type: string}}",
    "retry": "retry: {attempts: 3}",
    "steps": "steps: {ID: {uses: TOOL.ACTION}}",
    "timeout": "timeout: 10m",
    "uses": "uses: TOOL.ACTION",
    "when": "when: ${{ CONDITION }}",
    "with": "with: {NAME: VALUE}",
}
"""How each key is written."""

_ELSEWHERE = {
    "finally": ("on_exit",),
    "matrix": ("foreach", "for_each", "strategy", "loop", "with_items"),
    "needs": ("depends_on", "depends", "dependencies", "after", "upstream", "requires"),
    "on_error": ("continue_on_error", "allow_failure", "ignore_errors"),
    "params": ("parameters", "inputs", "variables", "vars"),
    "retry": ("retries", "max_retries", "retry_policy", "attempts"),
    "steps": ("jobs", "tasks", "stages", "nodes"),
    "timeout": ("timeout_minutes", "timeout_seconds", "execution_timeout"),
    "uses": ("action", "operator", "run", "script", "command"),
    "when": ("if", "condition", "only_if", "run_if"),
    "with": ("args", "arguments", "inputs", "parameters", "config"),
}
"""The names of each key in other languages, with ``_`` for hyphens."""

_MEANT: Mapping[str, tuple[str, ...]] = {
    name: tuple(key for key, names in _ELSEWHERE.items() if name in names)
    for names in _ELSEWHERE.values()
    for name in names
}


def hint(key: str, known: Collection[str]) -> str | None:
    """How the key is written here, if one of the ``known`` keys does the same.

    >>> hint("depends-on", ["needs", "uses"])
    'write `needs: [STEP]`'
    """
    meant = _MEANT.get(key.replace("-", "_").casefold(), ())
    return next((f"write `{_WRITTEN[name]}`" for name in meant if name in known), None)
