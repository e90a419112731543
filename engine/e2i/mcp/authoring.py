"""Answer what an agent asks while it writes a spec: the catalog, problems and fixes, a plan, tests, a rehearsal.

In: a ``Place`` and the arguments of a tool. Out: its answer. Runs only in throw-away stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from e2i import api
from e2i.approvals import required
from e2i.approvals.required import Need
from e2i.catalog import forms
from e2i.documents import JsonObject, ParamValues, plain
from e2i.errors import BadInput, InvalidSpec
from e2i.mcp import answers, plans
from e2i.mcp.answers import ActionFacts, ApprovalFacts, Catalog, Checked, Planned, Rehearsed, StepLine, Stepped, Tested
from e2i.mcp.place import Place, now_ms
from e2i.mcp.plans import PlanRequest
from e2i.planning.model import Plan
from e2i.policy import Origin
from e2i.scaffold import adding
from e2i.spec import suggest

MOST_STEPS = 100
"""Most steps of a plan in an answer."""
MOST_FAILURES = 20
MOST_ACTIONS = 12
"""Most actions that are shown with their parameters."""


def catalog(place: Place, names: Sequence[str]) -> Catalog:
    """Returns each action with a summary, or the named actions and tools with their whole signature."""
    registry = place.workspace().settings.registry
    every = {f"{tool.name}.{action.name}": action for tool in registry.tools() for action in tool.actions}
    if not names:
        return Catalog(actions={name: action.summary.splitlines()[0] for name, action in every.items()})
    unknown = [name for name in names if not any(name in (uses, uses.partition(".")[0]) for uses in every)]
    if unknown:
        hint = suggest.hint(unknown[0], every, most=12)
        raise BadInput(f"there is no action {unknown[0]!r}", code="unknown-action", hint=hint)
    chosen = {uses: action for uses, action in every.items() if uses in names or uses.partition(".")[0] in names}
    signatures = {uses: forms.signature(uses, action, registry) for uses, action in chosen.items()}
    if len(chosen) > MOST_ACTIONS:
        return Catalog(actions=signatures)
    summaries = {
        uses: {field.name: field.summary for field in forms.params(action, registry)} for uses, action in chosen.items()
    }
    return Catalog(
        actions={uses: ActionFacts(signature=signatures[uses], params=params) for uses, params in summaries.items()}
    )


def check(place: Place, spec: str, params: ParamValues, *, fix: bool) -> Checked:
    """Returns the problems of a spec; with ``fix`` also its text after all safe fixes. Writes nothing."""
    workspace = place.workspace()
    given = place.spec(spec, workspace)
    if not fix:
        return answers.checked(api.validate(given, params, workspace=workspace).problems, place.root)
    fixed = api.fix(given, params, workspace=workspace)
    return replace(
        answers.checked(fixed.remaining, place.root),
        fixed=answers.lines(fixed.applied, place.root),
        text=fixed.text if fixed.applied else None,
        included=dict(fixed.included),
    )


def add(place: Place, spec: str, uses: str, step: str) -> Stepped | Checked:
    """Returns the text of a spec with the step of an action, and what is left to fill in. Writes nothing."""
    workspace = place.workspace()
    try:
        added = adding.add(place.spec(spec, workspace), step or uses.rpartition(".")[2], uses, workspace)
    except InvalidSpec as error:
        return answers.checked(error.problems, place.root)
    return Stepped(
        valid=added.valid,
        step=added.step,
        text=added.text,
        left={field.name: answers.short(f"{field.summary}: {field.description}") for field in added.left},
        problems=answers.lines(added.problems, place.root),
    )


def plan(place: Place, request: PlanRequest, *, keep: bool) -> Planned | Checked:
    """Returns the plan of a spec with its id, or its problems. ``keep=False``: writes nothing, and there is no id."""
    workspace = place.workspace()
    given = place.spec(request.spec, workspace)
    try:
        planned, expanded = api.planned(
            given, ParamValues(request.params), select=request.select, fresh=request.fresh, workspace=workspace
        )
    except InvalidSpec as error:
        return answers.checked(error.problems, place.root)
    need = required.need(planned, expanded, workspace, now_ms())
    name, path = plans.keep(workspace.store, planned, request) if keep else (None, None)
    return Planned(
        valid=True,
        digest=planned.digest,
        summary={verdict.value: count for verdict, count in planned.summary.items()},
        plan=name,
        steps=_steps(planned),
        more_steps=max(len(planned.steps) - MOST_STEPS, 0),
        undecided=[str(each) for each in planned.undecided[:MOST_STEPS]],
        problems=answers.lines(planned.warnings, place.root),
        approval=None if need is None else _approval(need, path),
    )


def test(place: Place, path: str, only: str) -> Tested | Checked:
    """Runs the cases of a test file in a throw-away store. Returns the failures."""
    from e2i.testing import suite

    workspace = place.workspace()
    if workspace.files.own(path) is None:
        raise BadInput(f"there is no test file {path!r} in the workspace", code="no-such-test")
    try:
        file = str(place.root / path)
        ready = suite.load([file], profile=place.profile, origin=Origin.AGENT.value, root=place.root)
    except InvalidSpec as error:
        return answers.checked(error.problems, place.root)
    result = suite.run(ready, only=only)
    failures: list[JsonObject] = [
        {"case": case.name, **{key: value for key, value in plain(case).items() if key != "name" and value}}
        for file in result.files
        for case in file.cases
        if case.status == "failed"
    ]
    return Tested(valid=True, passed=result.passed, failed=result.failed, failures=failures[:MOST_FAILURES])


def rehearse(place: Place, spec: str, params: ParamValues, rows: int, *, empty: bool) -> Rehearsed | Checked:
    """Runs a spec on a sample in a throw-away store. Returns its failures, and what was not exercised."""
    from e2i.rehearsal import running
    from e2i.rehearsal.sampling import Wanted

    workspace = place.workspace()
    given = place.spec(spec, workspace)
    try:
        found = running.rehearse(given, params, Wanted(rows), workspace, empty=empty)
    except InvalidSpec as error:
        return answers.checked(error.problems, place.root)
    document = found.document
    return Rehearsed(
        valid=True,
        status=document.status,
        seconds=document.seconds,
        failures=answers.lines(found.failures[:MOST_FAILURES], place.root),
        not_exercised=[f"{each.step}: {each.detail} ({each.kind})" for each in document.not_exercised[:MOST_STEPS]],
    )


def _steps(planned: Plan) -> list[StepLine]:
    return [
        StepLine(id=step.id, uses=step.uses, verdict=step.verdict.value, reason=step.reason.detail)
        for step in planned.steps[:MOST_STEPS]
    ]


def _approval(need: Need, path: Path | None) -> ApprovalFacts:
    ask = None if need.refusal is None or path is None else f"a person has to run: e2i approve {path}"
    return ApprovalFacts(needed_for=[str(each) for each in need.demands[:10]], approved=need.refusal is None, ask=ask)
