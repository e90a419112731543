"""Descriptions of all problem and error codes. Each stage has a module of its own."""

from __future__ import annotations

from e2i.check.codes import columns, commands, features, places, policy, reading, services, shape, tables, wiring
from e2i.check.codes.code import Code

GROUPS: dict[str, tuple[Code, ...]] = {
    "Reading a spec": reading.CODES,
    "The shape of a spec": shape.CODES,
    "Steps and references": wiring.CODES,
    "Columns of tables": columns.CODES,
    "What is allowed": policy.CODES,
    "Commands and runs": commands.CODES,
    "While a step runs: tables, models, Python": tables.CODES,
    "While a step runs: databases, remote locations": places.CODES,
    "While a step runs: feature stores": features.CODES,
    "While a step runs: trackers, studies, registries, services": services.CODES,
}
"""In the order in which a spec is processed, from its text to its run."""

CODES: dict[str, Code] = {code.code: code for group in GROUPS.values() for code in group}


def find(code: str) -> Code | None:
    """Returns the description of a code, or None."""
    return CODES.get(code)
