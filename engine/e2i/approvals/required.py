"""Require an approval before a run, where the policy demands one.

In: a plan, its steps, the policy, the approvals of the store. Out: the approval that the run uses, or Refused with what
to do.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct
from msgspec.structs import replace

from e2i.approvals import record
from e2i.approvals.record import Approval
from e2i.check import approval as rules
from e2i.check.approval import Demand
from e2i.errors import Refused
from e2i.planning.model import Plan, Why
from e2i.policy import Policy
from e2i.spec.expansion.expanded import Expanded
from e2i.store.approvals import ApprovalRow
from e2i.store.database import FILE
from e2i.store.history import Reader
from e2i.store.runs import RunStore
from e2i.workspace.workspace import Workspace

CODE = "not-approved"


def demands(planned: Plan, expanded: Expanded, workspace: Workspace) -> list[Demand]:
    """Returns why the plan needs an approval; nothing when the policy demands none."""
    if not workspace.authority.rules.approval.is_demanded:
        return []
    return rules.demands(expanded, workspace.authority, executable(planned))


def executable(planned: Plan) -> Collection[str]:
    """Returns the steps that the run may execute: all that are selected."""
    return {step.id for step in planned.steps if step.reason.code is not Why.NOT_SELECTED}


class Need(Struct, frozen=True):
    """A plan's need of an approval. ``refusal``: None when an approval counts now."""

    demands: list[Demand]
    refusal: Refused | None


def need(planned: Plan, expanded: Expanded, workspace: Workspace, now_ms: int, run: str | None = None) -> Need | None:
    """Returns whether the plan needs an approval, and whether it has one for a new run, or for the ``run`` that is
    resumed. Changes nothing.
    """
    if not (found := demands(planned, expanded, workspace)):
        return None
    rows: list[ApprovalRow] = []
    if (workspace.store / FILE).exists():
        with Reader(workspace.store, lambda digest: True) as reader:
            rows, latest_ms = reader.approvals(planned.digest)
            now_ms = max(now_ms, latest_ms)
    chosen = _choose(rows, planned.digest, workspace.policy, run, now_ms)
    return Need(found, None if chosen.approval is not None else refusal(found, workspace.policy, chosen.reasons))


def find(
    planned: Plan, expanded: Expanded, workspace: Workspace, run_store: RunStore, run: str | None, now_ms: int
) -> Approval | None:
    """Returns the approval that allows the run; None when it needs none. Raises Refused (``not-approved``) when it
    needs one and none counts. ``run``: the id of the run that is resumed, if any; unless it has finished, it may use
    again what it has used.

    An approval that is found expired is recorded as such: a clock that is set back does not make it valid again.
    """
    found = demands(planned, expanded, workspace)
    if not found:
        return None
    with run_store.together():
        now_ms = max(now_ms, run_store.approvals.latest_ms())
        chosen = _choose(run_store.approvals.rows(planned.digest), planned.digest, workspace.policy, run, now_ms)
        for expired in chosen.expired:
            run_store.approvals.expire(expired, now_ms)
    if chosen.approval is None:
        raise refusal(found, workspace.policy, chosen.reasons)
    return chosen.approval


def use(approval: Approval, run: str, run_store: RunStore, now_ms: int) -> None:
    """Records that the run uses the approval, as part of the caller's transaction. Raises Refused when it was revoked
    or used by another run in the meantime.
    """
    if not run_store.approvals.use(approval.id, run, now_ms, once=approval.once):
        raise Refused(
            f"the approval {approval.id[:8]} by {approval.by} was revoked or used by another run in the meantime",
            code=CODE,
            hint="have the plan approved again",
        )


class _Chosen(Struct, frozen=True):
    approval: Approval | None
    reasons: list[str]
    """Why the others do not count."""
    expired: list[str]


def _choose(rows: list[ApprovalRow], plan: str, policy: Policy, run: str | None, now_ms: int) -> _Chosen:
    """Chooses among the approvals of a plan: what the run has used, then one for several runs, then one for one run."""
    usable, reasons, expired = [], [], []
    for row in rows:
        state, approval = record.state(row, plan, policy.approvers, now_ms)
        if state == "expired":
            expired.append(row.id)
        if approval is not None and (state == "valid" or (state == "used" and run in row.unfinished)):
            usable.append((run not in row.runs, approval.once, approval.expires_ms, approval))
        else:
            reasons.append(record.why(state, approval, row))
    best = min(usable, key=lambda each: each[:3])[-1] if usable else None
    return _Chosen(best, reasons, expired)


def refusal(found: list[Demand], policy: Policy, reasons: list[str]) -> Refused:
    """Returns the error: what needs the approval, why the present ones do not count, and what to do."""
    who = ", ".join(sorted(policy.approvers))
    what = f"this plan needs an approval: {rules.text(found)}" + "".join(f"; {reason}" for reason in reasons[:3])
    hint = (
        "write the plan with the options of the run, `e2i plan SPEC -o plan.json`; then one of those who may approve"
        f" ({who}) runs `e2i approve plan.json`"
        if who
        else "the operator lists who may approve under `approvers` in config/policy.yaml (`e2i keys make`)"
    )
    return Refused(what, code=CODE, hint=hint)


def with_demands(planned: Plan, expanded: Expanded, workspace: Workspace) -> Plan:
    """Returns the plan with a hint for people when it needs an approval."""
    if not (found := demands(planned, expanded, workspace)):
        return planned
    return replace(planned, hints=(*planned.hints, f"a run of this plan needs an approval: {rules.text(found)}"))
