"""Example steps from the ``example.yaml`` of each tool.

In: an action such as ``optuna.tune``. Out: YAML text with its comments: one step, and the steps that it needs.
"""

from __future__ import annotations

import re
from importlib import resources

from msgspec import Struct

from e2i.catalog.registry import Registry
from e2i.documents import JsonObject
from e2i.spec import document as documents
from e2i.spec.document import Document

HEAD = "version: 1\nname: example\nsteps:\n"


class Example(Struct, frozen=True):
    """``step`` is one entry of ``steps:``. ``spec`` is a complete valid spec with that step and those before it."""

    step: str
    spec: str


def of(uses: str, registry: Registry) -> Example:
    """Returns the example of an action, from its tool's ``example.yaml``. Empty for a plug-in that has none."""
    found = _read(registry.module(uses.partition(".")[0]))
    steps: dict[str, JsonObject] = found.data["steps"] if found else {}
    step = next((name for name, step in steps.items() if step["uses"] == uses), None)
    if found is None or step is None:
        return Example("", "")
    texts = _texts(found)
    wanted = {step}
    for name in reversed(texts):  # a step comes after those that it refers to
        if name in wanted:
            needs = steps[name].get("needs", [])
            assert isinstance(needs, list)
            wanted |= {*re.findall(r"steps\.(\w+)", texts[name]), *needs}
    return Example(texts[step], HEAD + "".join(text for name, text in texts.items() if name in wanted))


def _read(module: str) -> Document | None:
    file = resources.files(module).joinpath("example.yaml")
    return documents.read(file.read_bytes(), f"{module}/example.yaml")[0] if file.is_file() else None


def _texts(found: Document) -> dict[str, str]:
    """Returns each step's lines, from its key to the next."""
    lines = (found.text or "").splitlines(keepends=True)
    starts = {name: found.location(("steps", name), key=True).line - 1 for name in found.data["steps"]}
    ends = [*list(starts.values())[1:], len(lines)]
    return {name: "".join(lines[start:end]) for (name, start), end in zip(starts.items(), ends, strict=True)}
