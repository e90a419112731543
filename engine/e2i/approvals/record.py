"""The record of an approval: who approved which plan, until when, and the signature over all of it.

In: a plan's digest and a private key. Out: a signed record, and whether a record counts. Pure but for the signature.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import asdict, replace

from e2i import compact
from e2i.approvals import keyfile
from e2i.documents import Digest, JsonDocument, Milliseconds
from e2i.errors import BadInput
from e2i.planning.canonical import canonical
from e2i.store.approvals import ApprovalRow

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CONTEXT = b"e2i-approval-v1\0"
"""Before the signed text, so that no signature for another purpose is one of an approval."""
SKEW_MS = 5 * 60 * 1000
"""Tolerance for an approver's clock that is ahead of this one."""

State = Literal["valid", "used", "expired", "revoked", "future", "unknown-key", "bad-signature"]


class Approval(JsonDocument, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signed approval of a plan. The signature covers every other field."""

    id: Annotated[str, Meta(pattern="^[0-9a-f]{32}$", description="Random id.")]
    plan: Annotated[Digest, Meta(description="Digest of the plan.")]
    pipeline: Annotated[str, Meta(description="Name of the pipeline, for people.")]
    by: Annotated[str, Meta(description="The approver, as in `approvers` of config/policy.yaml.")]
    at_ms: Milliseconds
    expires_ms: Milliseconds
    once: Annotated[bool, Meta(description="Whether it counts for one run only.")]
    note: Annotated[str, Meta(max_length=1000, description="What the approver wrote.")]
    signature: Annotated[str, Meta(description="Ed25519 signature, base64.")]

    @property
    def message(self) -> bytes:
        """The signed bytes: all fields but the signature, in canonical form."""
        return CONTEXT + canonical({name: value for name, value in asdict(self).items() if name != "signature"})


def signed(unsigned: Approval, private: Ed25519PrivateKey) -> Approval:
    """Returns the record with its signature."""
    return replace(unsigned, signature=keyfile.signed(private, unsigned.message))


def parse(text: str | bytes) -> Approval:
    """Returns the record in a text. Raises BadInput."""
    try:
        return msgspec.json.decode(text, type=Approval)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(
            f"not an approval: {error}", code="bad-approval", hint="create one with e2i approve -o"
        ) from error


def written(approval: Approval) -> str:
    """Returns the record as the store keeps it."""
    return compact.dumps(approval)


def state(row: ApprovalRow, plan: str | None, keys: Mapping[str, str], now_ms: int) -> tuple[State, Approval | None]:
    """Returns whether a kept record counts, and the record if it can be read. ``plan``: the digest that it must have;
    None: any. ``keys``: the public keys of the policy by approver.
    """
    try:
        approval = parse(row.record)
    except BadInput:
        return "bad-signature", None
    public = keys.get(approval.by)
    if public is None:
        return "unknown-key", approval
    if approval.id != row.id or plan not in (None, approval.plan):
        return "bad-signature", approval
    if not keyfile.is_signed(public, approval.message, approval.signature):
        return "bad-signature", approval
    if row.revoked_ms is not None:
        return "revoked", approval
    if row.expired_ms is not None or now_ms >= approval.expires_ms:
        return "expired", approval
    if approval.at_ms > now_ms + SKEW_MS:
        return "future", approval
    return ("used" if approval.once and row.runs else "valid"), approval


def why(state: State, approval: Approval | None, row: ApprovalRow) -> str:
    """Returns why a record does not count, for people."""
    if approval is None:
        return f"the approval {row.id[:8]} cannot be read"
    name = f"the approval {row.id[:8]} by {approval.by}"
    match state:
        case "expired":
            return f"{name} expired at {moment(approval.expires_ms)}"
        case "revoked":
            return f"{name} was revoked at {moment(row.revoked_ms or 0)}"
        case "used":
            return f"{name} was for one run, and run {row.runs[0]} has used it"
        case "unknown-key":
            return f"{name} does not count: config/policy.yaml lists no such approver"
        case "bad-signature":
            return f"{name} does not count: its signature is not by the key that config/policy.yaml lists"
        case "future":
            return f"{name} was made at {moment(approval.at_ms)}, which is in the future: check the clocks"
    return f"{name} is valid"


def moment(at_ms: int) -> str:
    """Returns a time for people, in the local time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms / 1000))
