"""Approve plans, list approvals, and revoke them.

In: a plan's document, a key file, a store. Out: signed records in the store, or in a file for another store.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from e2i.approvals import keyfile, record
from e2i.approvals.keyfile import KeyDocument
from e2i.approvals.record import Approval, State
from e2i.documents import Element, JsonDocument
from e2i.errors import BadInput, Refused
from e2i.planning import document
from e2i.planning.model import PlanDocument
from e2i.policy import Policy
from e2i.spec import durations, suggest
from e2i.store.artifacts import ArtifactStore
from e2i.store.database import FILE
from e2i.store.history import Reader
from e2i.store.runs import RunStore
from e2i.workspace.workspace import Workspace

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LONGEST = "90d"
"""Longest time for which an approval can be valid."""


class ListedApproval(Element, frozen=True, kw_only=True):
    """An approval in a store, with its state now."""

    approval: Annotated[Approval | None, Meta(description="The record; null if it cannot be read.")]
    id: str
    state: Annotated[State, Meta(description="Whether it counts; if not, why.")]
    runs: Annotated[tuple[str, ...], Meta(description="The runs that have used it, oldest first.")]


class ApprovalsDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i approvals --json`."""

    approvals: tuple[ListedApproval, ...]


class KeysDocument(JsonDocument, frozen=True, kw_only=True):
    """Output of `e2i keys list --json` and `e2i keys make --json`."""

    keys: tuple[KeyDocument, ...]
    approvers: Annotated[dict[str, str], Meta(description="The public keys that the policy lists, by approver.")]


def key_of(policy: Policy, path: Path) -> KeyDocument:
    """Returns the public part of a key file whose key the policy lists. Raises Refused for another key."""
    key = keyfile.named(path)
    if policy.approvers.get(key.name) != key.public:
        raise Refused(
            f"config/policy.yaml does not list the key {path} of {key.name}",
            code="unknown-approver",
            hint=f"the operator adds it under approvers: {{{key.name}: {key.public}}}",
        )
    return key


def until(expires: str, now_ms: int) -> int:
    """Returns the end of a validity in milliseconds since the epoch. Raises BadInput."""
    try:
        seconds = durations.parse(expires)
    except ValueError as error:
        raise BadInput(f"--expires: {error}", code="bad-option") from error
    if not 0 < seconds <= durations.parse(LONGEST):
        raise BadInput(f"--expires {expires} is not more than 0 and at most {LONGEST}", code="bad-option")
    return now_ms + round(seconds * 1000)


def check(plan: PlanDocument) -> None:
    """Raises Refused for a plan that was changed since it was written, or with code that nobody can approve."""
    document.check(plan)
    if code := [str(item) for item in plan.undecided if item.kind == "code"]:
        raise Refused(
            f"code that is only known during the run cannot be approved: {'; '.join(code[:5])}",
            code="plan-undecided",
            hint="write the file and the function in the spec",
        )


def approve(
    plan: PlanDocument,
    by: str,
    private: Ed25519PrivateKey,
    *,
    now_ms: int,
    expires_ms: int,
    once: bool = False,
    note: str = "",
) -> Approval:
    """Returns a signed approval of a plan that ``check`` accepts."""
    unsigned = Approval(
        id=secrets.token_hex(16),
        plan=plan.digest,
        pipeline=plan.name,
        by=by,
        at_ms=now_ms,
        expires_ms=expires_ms,
        once=once,
        note=note,
        signature="",
    )
    return record.signed(unsigned, private)


def add(workspace: Workspace, approval: Approval) -> bool:
    """Adds a record to the store. Returns False when the store has one of that id. Raises Refused for a record that
    is not signed by a listed key.
    """
    public = workspace.policy.approvers.get(approval.by)
    if public is None or not keyfile.is_signed(public, approval.message, approval.signature):
        raise Refused(
            f"the approval {approval.id[:8]} is not signed by a key that config/policy.yaml lists for {approval.by}",
            code="unknown-approver",
            hint="the operator lists keys under `approvers` in config/policy.yaml",
        )
    with _writing(workspace) as run_store:
        return run_store.approvals.add(approval.id, approval.plan, record.written(approval), once=approval.once)


def listed(workspace: Workspace, now_ms: int, plan: str | None = None) -> ApprovalsDocument:
    """Returns the approvals of the store, the newest first."""
    if not (workspace.store / FILE).exists():
        return ApprovalsDocument(approvals=())
    with Reader(workspace.store, lambda digest: True) as reader:
        rows, latest = reader.approvals(plan)
    keys: Mapping[str, str] = workspace.policy.approvers
    found = []
    for row in rows:
        state, approval = record.state(row, None, keys, max(now_ms, latest))
        found.append(ListedApproval(approval=approval, id=row.id, state=state, runs=row.runs))
    found.sort(key=lambda each: (each.approval.at_ms if each.approval else 0, each.id), reverse=True)
    return ApprovalsDocument(approvals=tuple(found))


def revoke(workspace: Workspace, name: str, now_ms: int) -> str:
    """Revokes the approval of that id, or with an id that begins so. Returns its id. Raises BadInput."""
    with _writing(workspace) as run_store:
        known = [row.id for row in run_store.approvals.rows()]
        found = [each for each in known if len(name) >= 4 and each.startswith(name)]
        if len(found) != 1:
            what = "several approvals begin" if found else "no approval begins"
            raise BadInput(
                f"{what} with {name!r}",
                code="unknown-approval",
                hint=suggest.hint(name, known) or "`e2i approvals` lists them",
            )
        run_store.approvals.revoke(found[0], now_ms)
        return found[0]


@contextmanager
def _writing(workspace: Workspace) -> Iterator[RunStore]:
    """Yields the run store, inside a transaction."""
    with closing(RunStore(workspace.store, ArtifactStore(workspace.store).has)) as run_store, run_store.together():
        yield run_store
