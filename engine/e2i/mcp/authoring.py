"""Answer what an agent asks while it writes a spec: the catalog, problems and fixes, a plan, tests, a rehearsal.

In: a ``Place`` and the arguments of a tool. Out: its answer, as plain data. Runs only in throw-away stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from e2i import api
from e2i.approvals import required
from e2i.approvals.required import Need
from e2i.catalog import forms
from e2i.documents import JsonObject, ParamValues, plain
from e2i.errors import BadInput, InvalidSpec
from e2i.mcp import place as answers
from e2i.mcp import plans
from e2i.mcp.place import Place
from e2i.mcp.plans import PlanRequest
from e2i.policy import Origin
from e2i.spec import suggest

MOST_STEPS = 100
"""Most steps of a plan in an answer."""
MOST_FAILURES = 20


def catalog(place: Place, names: Sequence[str]) -> JsonObject:
    """Returns each action with a summary, or the named actions and tools with their whole signature."""
    registry = place.workspace().settings.registry
    every = {f"{tool.name}.{action.name}": action for tool in registry.tools() for action in tool.actions}
    if not names:
        return {"actions": {name: action.summary.splitlines()[0] for name, action in every.items()}}
    unknown = [name for name in names if not any(name in (uses, uses.partition(".")[0]) for uses in every)]
    if unknown:
        hint = suggest.hint(unknown[0], every, most=12)
        raise BadInput(f"there is no action {unknown[0]!r}", code="unknown-action", hint=hint)
    chosen = {uses: action for uses, action in every.items() if uses in names or uses.partition(".")[0] in names}
    return {
        "actions": {
            uses: {
                "signature": forms.signature(uses, action, registry),
                "params": {field.name: field.summary for field in forms.params(action, registry)},
            }
            for uses, action in chosen.items()
        }
        if len(chosen) <= 12
        else {uses: forms.signature(uses, action, registry) for uses, action in chosen.items()}
    }


def check(place: Place, spec: str, params: JsonObject, *, fix: bool) -> JsonObject:
    """Returns the problems of a spec; with ``fix`` also its text after all safe fixes. Writes nothing."""
    workspace = place.workspace()
    given = place.spec(spec, workspace)
    if not fix:
        return answers.invalid(api.validate(given, params, workspace=workspace).problems, place)
    fixed = api.fix(given, params, workspace=workspace)
    found = answers.invalid(fixed.remaining, place)
    if fixed.applied:
        found["fixed"] = [answers.problem(each, place) for each in fixed.applied[: answers.MOST_PROBLEMS]]
        found["text"] = fixed.text
    if fixed.included:
        found["included"] = dict(fixed.included)
    return found


def plan(place: Place, request: PlanRequest, *, keep: bool) -> JsonObject:
    """Returns the plan of a spec with its id, or its problems. ``keep=False``: writes nothing, and there is no id."""
    workspace = place.workspace()
    given = place.spec(request.spec, workspace)
    try:
        planned, expanded = api.planned(
            given, ParamValues(request.params), select=request.select, fresh=request.fresh, workspace=workspace
        )
    except InvalidSpec as error:
        return answers.invalid(error.problems, place)
    found: JsonObject = {"valid": True, "digest": planned.digest, "summary": plain(planned.summary)}
    need = required.need(planned, expanded, workspace, answers.now_ms())
    path: Path | None = None
    if keep:
        found["plan"], path = plans.keep(workspace.store, planned, request)
    found["steps"] = [
        {"id": step.id, "uses": step.uses, "verdict": step.verdict.value, "reason": step.reason.detail}
        for step in planned.steps[:MOST_STEPS]
    ]
    if len(planned.steps) > MOST_STEPS:
        found["more_steps"] = len(planned.steps) - MOST_STEPS
    if planned.undecided:
        found["undecided"] = [str(each) for each in planned.undecided[:MOST_STEPS]]
    if planned.warnings:
        found["problems"] = answers.invalid(planned.warnings, place)["problems"]
    if need is not None:
        found["approval"] = _approval(need, path)
    return found


def test(place: Place, path: str, only: str) -> JsonObject:
    """Runs the cases of a test file in a throw-away store. Returns the failures."""
    from e2i.testing import suite

    workspace = place.workspace()
    if workspace.files.own(path) is None:
        raise BadInput(f"there is no test file {path!r} in the workspace", code="no-such-test")
    try:
        file = str(place.root / path)
        ready = suite.load([file], profile=place.profile, origin=Origin.AGENT.value, root=place.root)
    except InvalidSpec as error:
        return answers.invalid(error.problems, place)
    result = suite.run(ready, only=only)
    failures = [
        {"case": case.name, **{key: value for key, value in plain(case).items() if key != "name" and value}}
        for file in result.files
        for case in file.cases
        if case.status == "failed"
    ]
    return {"valid": True, "passed": result.passed, "failed": result.failed, "failures": failures[:MOST_FAILURES]}


def rehearse(place: Place, spec: str, params: JsonObject, rows: int, *, empty: bool) -> JsonObject:
    """Runs a spec on a sample in a throw-away store. Returns its failures, and what was not exercised."""
    from e2i.rehearsal import running
    from e2i.rehearsal.sampling import Wanted

    workspace = place.workspace()
    given = place.spec(spec, workspace)
    try:
        found = running.rehearse(given, ParamValues(params), Wanted(rows), workspace, empty=empty)
    except InvalidSpec as error:
        return answers.invalid(error.problems, place)
    document = found.document
    return {
        "valid": True,
        "status": document.status,
        "seconds": document.seconds,
        "failures": [answers.problem(each, place) for each in found.failures[:MOST_FAILURES]],
        "not_exercised": [f"{each.step}: {each.detail} ({each.kind})" for each in document.not_exercised[:MOST_STEPS]],
    }


def _approval(need: Need, path: Path | None) -> JsonObject:
    """Returns what an agent must know: it asks a person, and cannot approve."""
    found: JsonObject = {"needed_for": [str(each) for each in need.demands[:10]], "approved": need.refusal is None}
    if need.refusal is not None and path is not None:
        found["ask"] = f"a person has to run: e2i approve {path}"
    return found
