"""Make keys, approve plans, and list and revoke approvals.

In: names, files, a passphrase from the terminal. Out: key files, signed records, a printed summary.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

import click
from msgspec import Struct

from e2i import compact, policy, regular
from e2i.api import Workspace
from e2i.approvals import granting, keyfile, record
from e2i.approvals.granting import ApprovalsDocument, KeysDocument
from e2i.approvals.keyfile import KeyDocument
from e2i.approvals.record import Approval
from e2i.cli import documents, options
from e2i.cli.problems_view import safe
from e2i.errors import BadInput, Exit, Refused
from e2i.planning.model import PlanDocument, StepDocument
from e2i.policy import Origin

MOST = 20
"""Most steps that are shown before the passphrase is asked for."""
WIDTH = 160
"""Most characters of a step's parameters."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class Asked(Struct, frozen=True):
    """The options of `e2i approve`."""

    once: bool
    expires: str
    note: str
    key: str | None
    passphrase_file: Path | None
    output: Path | None


def make(workspace: Workspace, name: str, file: Path | None, passphrase_file: Path | None, *, as_json: bool) -> Exit:
    """Makes a key pair. Raises BadInput for a file inside the workspace or the store, where steps could read it."""
    _refuse_agents()
    if not NAME.fullmatch(name):
        raise BadInput(f"{name!r} is not a name: letters, digits, _ and -", code="bad-option")
    path = (file or keyfile.folder(os.environ) / f"{name}{keyfile.SUFFIX}").resolve()
    for place, what in ((workspace.root, "the workspace"), (workspace.store, "the store")):
        if path.is_relative_to(place):
            raise BadInput(
                f"{path} is in {what} {place}, where steps may read it",
                code="bad-key-file",
                hint="keep the key elsewhere: --file FILE",
            )
    made = keyfile.make(path, name, _passphrase(passphrase_file, name, confirm=True))
    if as_json:
        documents.show(_keys([made], workspace))
    else:
        click.echo(f"private key  {safe(made.file)}, encrypted by the passphrase")
        click.echo("public key   for config/policy.yaml, which only the operator should be able to write:")
        click.echo(f"approvers:\n  {made.name}: {made.public}")
    return Exit.DONE


def show_keys(workspace: Workspace, *, as_json: bool) -> Exit:
    """Prints the key files of this user, and whether the policy lists them."""
    found = keyfile.listed(keyfile.folder(os.environ))
    if as_json:
        documents.show(_keys(found, workspace))
        return Exit.DONE
    for key in found:
        is_listed = workspace.policy.approvers.get(key.name) == key.public
        click.echo(f"{safe(key.name)}  {key.public}  {'listed' if is_listed else 'not listed'}  {safe(key.file)}")
    if not found:
        click.echo(f"no keys in {safe(str(keyfile.folder(os.environ)))}; `e2i keys make NAME` makes one")
    return Exit.DONE


def approve(workspace: Workspace, path: Path, asked: Asked, *, as_json: bool) -> Exit:
    """Shows what is approved, asks for the passphrase, and signs."""
    _refuse_agents()
    plan = options.plan_document(path)
    granting.check(plan)
    now_ms = _now_ms()
    expires_ms = granting.until(asked.expires, now_ms)
    if len(asked.note) > 1000:
        raise BadInput("--note has more than 1000 characters", code="bad-option")
    key = granting.key_of(workspace.policy, _key_file(asked.key, workspace))
    _show_plan(plan, expires_ms, once=asked.once)
    private = keyfile.opened(Path(key.file), _passphrase(asked.passphrase_file, key.name))
    found = granting.approve(
        plan, key.name, private, now_ms=now_ms, expires_ms=expires_ms, once=asked.once, note=asked.note
    )
    if asked.output is not None:
        options.write_text(asked.output, record.written(found) + "\n")
    else:
        granting.add(workspace, found)
    _show_one(found, as_json=as_json)
    return Exit.DONE


def add(workspace: Workspace, path: Path, *, as_json: bool) -> Exit:
    """Adds the record of a file to the store."""
    try:
        found = record.parse(regular.read(path, 64 * 2**10))
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}", code="bad-approval") from error
    granting.add(workspace, found)
    _show_one(found, as_json=as_json)
    return Exit.DONE


def show(workspace: Workspace, *, as_json: bool) -> Exit:
    """Prints the approvals of the store."""
    found = granting.listed(workspace, _now_ms())
    if as_json:
        documents.show(found)
        return Exit.DONE
    for each in found.approvals:
        approval = each.approval
        if approval is None:
            click.echo(f"{each.id[:8]}  {each.state}")
            continue
        until = record.moment(approval.expires_ms)
        parts = [each.id[:8], each.state, approval.pipeline, approval.plan[:19], f"by {approval.by}", f"until {until}"]
        parts += ["for one run"] if approval.once else []
        parts += [f"used by {', '.join(each.runs)}"] if each.runs else []
        parts += [approval.note] if approval.note else []
        click.echo("  ".join(map(safe, parts)))
    if not found.approvals:
        click.echo("no approvals")
    return Exit.DONE


def revoke(workspace: Workspace, name: str, *, as_json: bool) -> Exit:
    """Revokes an approval."""
    revoked = granting.revoke(workspace, name, _now_ms())
    listed = [each for each in granting.listed(workspace, _now_ms()).approvals if each.id == revoked]
    if as_json:
        documents.show(ApprovalsDocument(approvals=tuple(listed)))
    else:
        click.echo(f"revoked {revoked[:8]}")
    return Exit.DONE


def _show_plan(plan: PlanDocument, expires_ms: int, *, once: bool) -> None:
    """Prints what is approved, on standard error."""
    count = "one run" if once else "runs"
    lines = [
        f"approving {count} of {plan.name} until {record.moment(expires_ms)}",
        f"digest {plan.digest}, profile {plan.profile}, origin {plan.environment.get('origin')}",
        *(f"  {step.id}  {step.uses}{_parameters(step)}" for step in plan.steps[:MOST]),
        *([f"  … {len(plan.steps) - MOST} more steps"] if len(plan.steps) > MOST else []),
        *(f"  undecided: {item}" for item in plan.undecided[:MOST]),
    ]
    for line in lines:
        click.echo(safe(line), err=True)


def _parameters(step: StepDocument) -> str:
    """Returns the parameters of a step on one line, cut."""
    text = compact.dumps(step.inputs.params) if step.inputs.params else ""
    return f"  {text if len(text) <= WIDTH else text[: WIDTH - 1] + '…'}" if text else ""


def _show_one(approval: Approval, *, as_json: bool) -> None:
    if as_json:
        documents.show(approval)
    else:
        click.echo(f"approved: {approval.id[:8]}, {approval.pipeline}, until {record.moment(approval.expires_ms)}")


def _key_file(given: str | None, workspace: Workspace) -> Path:
    """Returns the key file that is named, or the only one that the policy lists. Raises BadInput."""
    own = keyfile.listed(keyfile.folder(os.environ))
    if given is not None:
        named = [key for key in own if key.name == given]
        return Path(named[0].file) if named else Path(given)
    listed = [key for key in own if workspace.policy.approvers.get(key.name) == key.public]
    if len(listed) != 1:
        names = ", ".join(key.name for key in listed)
        what = (
            f"config/policy.yaml lists several of your keys: {names}"
            if names
            else "config/policy.yaml lists no key of yours"
        )
        hint = "choose one with --key NAME" if names else "`e2i keys make NAME` makes one; --key FILE names another"
        raise BadInput(what, code="bad-key-file", hint=hint)
    return Path(listed[0].file)


def _passphrase(file: Path | None, name: str, *, confirm: bool = False) -> str:
    """Returns the passphrase: asked for on the terminal, or the first line of a file."""
    if file is None:
        if not sys.stdin.isatty():
            hint = "or use --passphrase-file FILE"
            raise BadInput("the passphrase is asked for on a terminal", code="bad-option", hint=hint)
        text: str = click.prompt(f"passphrase of {name}", hide_input=True, confirmation_prompt=confirm, err=True)
        return text
    try:
        raw = sys.stdin.buffer.readline(4096) if str(file) == "-" else regular.read(file, 4096)
        return raw.decode().partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the passphrase from {file}: {error}", code="bad-option") from error


def _keys(found: list[KeyDocument], workspace: Workspace) -> KeysDocument:
    return KeysDocument(keys=tuple(found), approvers=dict(workspace.policy.approvers))


def _refuse_agents() -> None:
    """Raises Refused where the environment says that an agent acts. A courtesy: what protects is the passphrase."""
    if policy.origin(None, os.environ) is Origin.AGENT:
        raise Refused(
            f"agents do not approve: {policy.VARIABLE} is set to agent",
            code="policy-origin",
            hint="a person approves, in a terminal of their own",
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
