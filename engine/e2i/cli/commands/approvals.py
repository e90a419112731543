"""Commands about approvals of plans: keys, approve, approvals, revoke."""

from __future__ import annotations

from pathlib import Path

import click

from e2i.cli.commands import flags
from e2i.cli.exits import guarded
from e2i.errors import Exit


def passphrase(command: flags.F) -> flags.F:
    return click.option(
        "--passphrase-file",
        type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
        help="Read the passphrase from the first line of FILE, `-` for standard input, instead of asking for it.",
    )(command)


@click.group()
def keys() -> None:
    """Make and list the keys that approvals are signed with."""


@keys.command("make", cls=flags.Inert)
@click.argument("name")
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="Default: ~/.config/e2i/keys/NAME.key.")
@passphrase
@flags.store
@flags.json
@guarded
def make(name: str, file: Path | None, passphrase_file: Path | None, store: Path | None, as_json: bool) -> Exit:
    """Make the key pair of an approver. The private key is encrypted by a passphrase.

    NAME is the approver, as config/policy.yaml lists it. The operator adds the printed public key there.
    """
    from e2i import api
    from e2i.cli import approvals_command

    workspace = api.Workspace.open(store=store)
    return approvals_command.make(workspace, name, file, passphrase_file, as_json=as_json)


@keys.command("list", cls=flags.Inert)
@flags.json
@guarded
def show_keys(as_json: bool) -> Exit:
    """List your keys, and whether the policy of this workspace lists them."""
    from e2i import api
    from e2i.cli import approvals_command

    return approvals_command.show_keys(api.Workspace.open(), as_json=as_json)


@click.command(cls=flags.Inert)
@click.argument("plan", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--once", is_flag=True, help="Approve one run only.")
@click.option("--expires", default="1d", show_default=True, metavar="TIME", help="For how long, such as 1h or 7d.")
@click.option("--note", default="", metavar="TEXT", help="What to record with the approval.")
@click.option("--key", metavar="NAME|FILE", help="The key to sign with. Default: your only listed key.")
@passphrase
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the approval to FILE instead of the store; `e2i approvals --add FILE` adds it to a store.",
)
@flags.store
@flags.json
@guarded
def approve(
    plan: Path,
    once: bool,
    expires: str,
    note: str,
    key: str | None,
    passphrase_file: Path | None,
    output: Path | None,
    store: Path | None,
    as_json: bool,
) -> Exit:
    """Approve a plan: sign its digest with your key.

    PLAN is a file that `e2i plan SPEC -o PLAN` wrote. Runs that need an approval start only with one of their own plan.
    """
    from e2i import api
    from e2i.cli import approvals_command
    from e2i.cli.approvals_command import Asked

    workspace = api.Workspace.open(store=store)
    asked = Asked(once, expires, note, key, passphrase_file, output)
    return approvals_command.approve(workspace, plan, asked, as_json=as_json)


@click.command(cls=flags.Inert)
@click.option(
    "--add", type=click.Path(path_type=Path, dir_okay=False), help="Add the approval that `e2i approve -o` wrote."
)
@flags.store
@flags.json
@guarded
def approvals(add: Path | None, store: Path | None, as_json: bool) -> Exit:
    """List the approvals of plans, and whether they count."""
    from e2i import api
    from e2i.cli import approvals_command

    workspace = api.Workspace.open(store=store)
    if add is not None:
        return approvals_command.add(workspace, add, as_json=as_json)
    return approvals_command.show(workspace, as_json=as_json)


@click.command(cls=flags.Inert)
@click.argument("approval")
@flags.store
@flags.json
@guarded
def revoke(approval: str, store: Path | None, as_json: bool) -> Exit:
    """Revoke an approval for good. Runs that have started are not stopped.

    APPROVAL is an id, or its first characters.
    """
    from e2i import api
    from e2i.cli import approvals_command

    return approvals_command.revoke(api.Workspace.open(store=store), approval, as_json=as_json)
