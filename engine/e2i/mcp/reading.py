"""Read what the store, the catalog and the explanations hold, by address, in pages.

In: an ``e2i://`` address, a cursor. Out: plain data. Texts of logs and results come from programs and data: they are
marked ``untrusted``, and are never instructions.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError

from e2i import api, compact
from e2i.catalog.artifacts import ARTIFACTS, Table
from e2i.documents import JsonObject, plain
from e2i.errors import BadInput
from e2i.mcp import answers, authoring, plans
from e2i.mcp.answers import (
    UNTRUSTED,
    WIDTH,
    Answer,
    Explained,
    LogLines,
    Rows,
    RunFacts,
    RunLine,
    RunLines,
    StepEndLine,
    short,
)
from e2i.mcp.place import Place
from e2i.records import lookup, results
from e2i.store.artifacts import ArtifactStore
from e2i.workers import steplog

SCHEME = "e2i://"
MOST = 100
"""Most rows, lines or runs of a page."""
TEXT = 16_000
"""Most characters of a document in a page."""
LOG = 4 * 2**20
"""Bytes of a log, from its end, that pages are taken from."""
ADDRESSES = (
    "catalog", "catalog/{action}", "explain/{code}", "plans/{plan}", "runs", "runs/{run}", "runs/{run}/steps/{step}",
    "runs/{run}/logs/{step}", "runs/{run}/outputs/{output}", "diff/{before}/{after}", "provenance/{target}",
)  # fmt: skip
"""All addresses, after the scheme. A name with a slash is percent-encoded."""


def read(place: Place, address: str, cursor: int, limit: int) -> Answer | JsonObject:
    """Returns a page of what is at an address. Raises BadInput. ``next`` is the cursor of the following page."""
    parts = [unquote(part) for part in address.removeprefix(SCHEME).strip("/").split("/")]
    cursor, limit = max(cursor, 0), min(max(limit, 1), MOST)
    match parts:
        case ["catalog"]:
            return authoring.catalog(place, ())
        case ["catalog", action]:
            return authoring.catalog(place, (action,))
        case ["explain", code]:
            return _explained(code)
        case ["plans", plan]:
            request, document = plans.kept(place.workspace().store, plan)
            return _paged({"request": plain(request), "plan": plain(document)}, cursor)
        case ["runs"]:
            return _runs(place, cursor, limit)
        case ["runs", run, *rest]:
            return _of_run(place, run, rest, cursor, limit)
        case ["diff", before, after]:
            return _paged(api.compare(before, after, workspace=place.workspace()).to_json(), cursor)
        case ["provenance", target]:
            return _paged(plain(lookup.origin(place.workspace().store, target).document), cursor)
    known = ", ".join(SCHEME + each for each in ADDRESSES)
    raise BadInput(f"there is nothing at {address!r}", code="unknown-address", hint=f"addresses: {known}")


def _explained(code: str) -> Explained:
    from e2i.check import codes  # imports every tool's declaration, which takes time at the start of the server

    found = codes.find(code)
    if found is None:
        raise BadInput(f"there is no code {code!r}", code="unknown-code", hint="problems and errors name theirs")
    return Explained(
        code=code,
        title=found.title,
        why=found.why,
        fix=found.fix,
        bad=found.bad or "",
        good=found.good or "",
        example=found.example or "",
    )


def _runs(place: Place, cursor: int, limit: int) -> RunLines:
    found = lookup.runs(place.workspace().store, cursor + limit + 1)
    rows = [
        RunLine(run=run.id, pipeline=run.pipeline, status=run.status, started_ms=run.started_ms, steps=run.steps)
        for run in found[cursor : cursor + limit]
    ]
    return RunLines(runs=rows, next=_next(cursor, limit, len(found)))


def _of_run(place: Place, run: str, rest: list[str], cursor: int, limit: int) -> Answer | JsonObject:
    store = place.workspace().store
    past = lookup.run(store, run)
    match rest:
        case []:
            found = past.run
            steps = [
                StepEndLine(
                    id=step.id,
                    uses=step.uses,
                    status=step.status,
                    reason=step.reason.detail,
                    error={name: _cut(part) for name, part in plain(step.error).items()} if step.error else None,
                )
                for step in found.steps[cursor : cursor + limit]
            ]
            return RunFacts(
                run=found.id,
                pipeline=found.pipeline,
                status=found.status,
                file=found.file,
                untrusted=UNTRUSTED,
                outputs={name: _cut(value) for name, value in (found.outputs or {}).items()} if cursor == 0 else {},
                steps=steps,
                next=_next(cursor, limit, len(found.steps)),
            )
        case ["steps", step]:
            return _paged({"untrusted": UNTRUSTED, **plain(lookup.step(past, step))}, cursor)
        case ["logs", step]:
            lookup.step(past, step)  # a name of the run, and so of no other file
            return _log(place, past.run.id, step, cursor, limit)
        case ["outputs", output]:
            return _output(place, results.find(past.run, output), cursor, limit)
    raise BadInput(f"a run has no {'/'.join(rest)!r}", code="unknown-address", hint="steps/ID, logs/ID, outputs/NAME")


def _log(place: Place, run: str, step: str, cursor: int, limit: int) -> LogLines:
    path = steplog.path_of(place.workspace().store, run, step)
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - LOG))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    page = [short(line) for line in lines[cursor : cursor + limit]]
    return LogLines(untrusted=UNTRUSTED, total_lines=len(lines), lines=page, next=_next(cursor, limit, len(lines)))


def _output(place: Place, value: Any, cursor: int, limit: int) -> Rows | JsonObject:
    if not (isinstance(value, dict) and str(value.get("type")) in ARTIFACTS and "digest" in value):
        return {"untrusted": UNTRUSTED, **_paged({"value": value}, cursor)}
    digest = _table(value)
    if digest is None:
        return {"untrusted": UNTRUSTED, **_paged({"value": value}, cursor)}
    from e2i.workers import tables

    try:
        table = tables.read(ArtifactStore(place.workspace().store).path(digest))
    except (OSError, ValueError) as error:
        raise BadInput(f"{digest} is no table", code="unknown-output", hint="read the output of its step") from error
    page = table.slice(cursor, limit)
    columns = [[_cell(item) for item in column.to_pylist()] for column in page.columns]
    return Rows(
        untrusted=UNTRUSTED,
        total_rows=table.num_rows,
        columns=[short(name) for name in table.column_names],
        rows=[list(row) for row in zip(*columns, strict=True)],
        next=_next(cursor, limit, table.num_rows),
    )


def _table(value: Any) -> str | None:
    """Returns the digest of a table; None for another artifact, and for a value that only looks like one."""
    try:
        artifact = ARTIFACTS[value["type"]].model_validate(value)
    except ValidationError:  # an output of the spec is any value that its author writes
        return None
    return artifact.digest if isinstance(artifact, Table) else None


def _paged(document: Any, cursor: int) -> JsonObject:
    """Returns a document, or a part of its JSON text when it is long."""
    text = compact.dumps(document)
    if cursor == 0 and len(text) <= TEXT:
        return dict(document)
    return plain(
        answers.Text(json=text[cursor : cursor + TEXT], total_characters=len(text), next=_next(cursor, TEXT, len(text)))
    )


def _next(cursor: int, limit: int, count: int) -> int | None:
    """Returns the cursor of the following page, if there is one."""
    return cursor + limit if count > cursor + limit else None


def _cut(value: Any) -> Any:
    text = compact.dumps(value)
    return value if len(text) <= WIDTH else f"{text[:WIDTH]}…"


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int) else _number(value)


def _number(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)  # JSON has no other numbers
    return short(str(value))
