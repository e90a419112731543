"""A spec goes in; what ``check`` foresees of its steps' outputs comes out, to be held against what they really give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from e2i import api, policy, route, settings
from e2i.catalog.artifacts import ARTIFACTS
from e2i.catalog.columns import KnownFolds, KnownKeys, KnownModel, KnownRecipe, KnownRepo, KnownTable
from e2i.catalog.files import Files
from e2i.check import actions, types
from e2i.check.context import CheckContext
from e2i.check.types import Type
from e2i.spec.expansion.expanded import Expanded

WORKSPACE = api.Workspace(Path.cwd(), Path.cwd() / ".e2i", settings.Settings(), policy.default())


def predict(
    text: str | bytes, files: Files, params: Mapping[str, Any] | None = None
) -> tuple[Expanded, Mapping[str, Type]]:
    """The steps of a spec that must be valid, and what is known of the outputs of each, by node id."""
    expanded = route.valid(route.examine(api.Source(text, "spec.yaml"), WORKSPACE, params or {}, files=files))
    context = CheckContext.of(expanded, WORKSPACE.authority, files)
    assert list(actions.check(context)) == []
    return expanded, context.environment.outputs


def columns(known: Type, output: str) -> list[str] | None:
    """The columns that are foreseen of a table; None when they are not."""
    (table,) = known.inside[output]
    return list(table.known.columns) if isinstance(table.known, KnownTable) else None


def untrue(known: Type, given: Mapping[str, Any]) -> Iterator[str]:
    """Where a step's outputs, as a document, are not what was foreseen."""
    for name, value in given.items():
        expected = known.inside.get(name)
        assert expected is not None, name
        if isinstance(value, dict) and "digest" in value:
            fact = expected[0].known
            if not _holds(fact, value):
                yield f"{name}: foreseen {fact}, given {value}"
        elif not types.accepts(_type(value), expected):
            yield f"{name}: foreseen {types.describe(expected)}, given {value!r:.200}"
        elif isinstance(value, dict) and expected[0].rest is None:
            yield from (f"{name}: {key!r} was not foreseen" for key in value.keys() - expected[0].inside.keys())


def _type(value: Any) -> types.Types:
    """The type of a document, in which an artifact may be anywhere."""
    if isinstance(value, dict) and "digest" in value and value.get("type") in ARTIFACTS:
        return (Type(value["type"]),)
    if isinstance(value, dict):
        return (Type("mapping", {key: _type(item) for key, item in value.items()}),)
    return types.of_value(value)


def _holds(known: Any, artifact: Mapping[str, Any]) -> bool:
    match known:
        case KnownFolds():
            return (known.by, known.time) == (artifact["by"], artifact["time"])
        case None | KnownKeys():
            return True
        case KnownTable():
            real = {column["name"]: column["type"] for column in artifact["columns"]}
            same = list(real) == list(known.columns)
            return same and all(kind in (None, real[name]) for name, kind in known.columns.items())
        case KnownModel() if artifact["type"] == "model":
            facts = (
                ("target", known.target),
                ("features", known.features and list(known.features)),
                ("task", known.task),
                ("algorithm", known.algorithm),
            )
            later = (("calibration", known.calibrated), ("threshold", known.threshold), ("level", known.level))
            said = all(fact is None or bool(fact) == (artifact[name] is not None) for name, fact in later)
            said &= known.binary is None or known.binary == (len(artifact["classes"] or ()) == 2)
            return said and all(fact is None or fact == artifact[name] for name, fact in facts)
        case KnownRecipe():
            return [step["op"] for step in known.steps] == [step["op"] for step in artifact["steps"]]
        case KnownRepo():
            return all(
                (view.features is None or list(view.features) == artifact["views"][name])
                and (view.keys is None or list(view.keys) == artifact["join_keys"][name])
                for name, view in known.views.items()
            )
    return True
