"""Name the modules that travel with a model, to predict without e2i. In: nothing. Out: their files."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

MODULES = ("natives", "encoding", "preparing", "deciding", "targets", "scoring")
"""``scoring`` finds the others beside it."""
EFFECTS = "effect_scoring"


def files(*, effects: bool = False) -> dict[str, Path]:
    """Return the files of the modules by name, found without importing them; the one that is loaded is last."""
    return {name: _file_of(name) for name in (*MODULES, *((EFFECTS,) if effects else ()))}


def _file_of(name: str) -> Path:
    spec = find_spec(f"e2i.estimators.{name}")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin)
