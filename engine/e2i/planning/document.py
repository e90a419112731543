"""Parses the document of an approved plan. In: a file or data of a caller. Out: what the plan covers.

A document is accepted as a whole or not at all: it has exactly the expected keys, the checksum matches the text, and
the digest is recomputed from the content.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from e2i.errors import BadInput, Refused
from e2i.planning.model import SCHEMA_VERSION, Verdict, Why, digest

HINT = "create one with e2i plan -o, and have it approved"


class _Strict(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class ReasonPart(_Strict, frozen=True):
    code: Why
    detail: str


class StepPart(_Strict, frozen=True, rename={"final": "finally"}):
    id: str
    uses: str
    needs: list[str]
    verdict: Verdict
    reason: ReasonPart
    fingerprint: str | None
    inputs: dict[str, Any]
    options: dict[str, Any]
    final: Literal[True] | None = None


class UndecidedPart(_Strict, frozen=True):
    step: str
    parameter: str
    kind: Literal["file", "code"]
    value: str


class Document(_Strict, frozen=True):
    """A plan's document, with the types of its members."""

    schema_version: int
    digest: str
    checksum: str
    name: str
    profile: str
    params: dict[str, Any]
    outputs: dict[str, Any]
    environment: dict[str, Any]
    undecided: list[UndecidedPart]
    steps: list[StepPart]
    summary: dict[Verdict, int]


def parse(text: bytes) -> dict[str, Any]:
    """Returns the document in a file. Raises BadInput when it is not one."""
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not a plan: {error}", code="bad-plan", hint=HINT) from error
    if not isinstance(found, dict):
        raise BadInput("not a plan: it should be a mapping", code="bad-plan", hint=HINT)
    check_form(found)
    return found


def check_form(found: Mapping[str, Any]) -> Document:
    """Returns the typed document. Raises BadInput when a key is missing, unknown or has a wrong value."""
    version = found.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise BadInput(f"a plan of version {version!r}, not {SCHEMA_VERSION}", code="bad-plan", hint=HINT)
    try:
        document = msgspec.convert(dict(found), Document)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadInput(f"not a complete plan: {error}", code="bad-plan", hint=HINT) from error
    if len({step.id for step in document.steps}) != len(document.steps):
        raise BadInput("not a plan: a step occurs twice", code="bad-plan", hint=HINT)
    return document


def covered(found: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a document covers, as ``Plan.covered``. Raises BadInput, and Refused for a document that was changed
    since it was written: its content would not be what was planned.
    """
    document = check_form(found)
    try:
        shown = {
            "name": document.name,
            "profile": document.profile,
            "params": document.params,
            "outputs": document.outputs,
            "environment": document.environment,
            "undecided": found["undecided"],
            "steps": {step["id"]: _step(step) for step in found["steps"]},
        }
        checksum = digest({key: value for key, value in found.items() if key != "checksum"})
        counts = Counter(step.verdict for step in document.steps)
        if checksum != document.checksum or digest(shown) != document.digest:
            raise _altered("its checksum" if checksum != document.checksum else "its digest")
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"not a plan: {error}", code="bad-plan", hint=HINT) from error
    if document.summary != {verdict: counts[verdict] for verdict in Verdict}:
        raise _altered("its summary")
    return shown


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    return {key: step[key] for key in ("id", "uses", "needs", "finally", "inputs", "options") if key in step}


def _altered(what: str) -> Refused:
    return Refused(
        f"the approved plan was changed since it was written: {what} does not match its content",
        code="plan-altered",
        hint="plan again, and have the new plan approved",
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        name = next(name for name, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {name!r} occurs twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")
