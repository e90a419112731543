"""Reads the document of an approved plan. In: a file or data of a caller. Out: the typed document.

A document is accepted as a whole or not at all: it has exactly the expected keys, the checksum matches the text, and
the digest is recomputed from the content.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec

from e2i import documents
from e2i.documents import JsonObject, Values
from e2i.errors import BadInput, Refused
from e2i.planning.canonical import digest
from e2i.planning.model import PlanDocument, Verdict

SCHEMA_VERSION = 1
HINT = "create one with e2i plan -o, and have it approved"


def parse(text: bytes) -> PlanDocument:
    """Returns the document in a file. Raises BadInput when it is not one."""
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not a plan: {error}", code="bad-plan", hint=HINT) from error
    if not isinstance(found, dict):
        raise BadInput("not a plan: it should be a mapping", code="bad-plan", hint=HINT)
    return read(found)


def read(found: Values) -> PlanDocument:
    """Returns the typed document. Raises BadInput when a key is missing, unknown or has a wrong value."""
    version = found.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise BadInput(f"a plan of version {version!r}, not {SCHEMA_VERSION}", code="bad-plan", hint=HINT)
    try:
        document = documents.read(dict(found), PlanDocument)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadInput(f"not a complete plan: {error}", code="bad-plan", hint=HINT) from error
    if len({step.id for step in document.steps}) != len(document.steps):
        raise BadInput("not a plan: a step occurs twice", code="bad-plan", hint=HINT)
    return document


def check(document: PlanDocument) -> None:
    """Raises Refused for a document that was changed since it was written: its content would not be what was planned.

    Raises BadInput for data that no plan has.
    """
    try:
        if document.content_digest != document.checksum:
            raise _altered("its checksum")
        if digest(document.covered) != document.digest:
            raise _altered("its digest")
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"not a plan: {error}", code="bad-plan", hint=HINT) from error
    counts = Counter(step.verdict for step in document.steps)
    if document.summary != {verdict: counts[verdict] for verdict in Verdict}:
        raise _altered("its summary")


def _altered(what: str) -> Refused:
    return Refused(
        f"the approved plan was changed since it was written: {what} does not match its content",
        code="plan-altered",
        hint="plan again, and have the new plan approved",
    )


def _once(pairs: list[tuple[str, Any]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        name = next(name for name, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {name!r} occurs twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")
