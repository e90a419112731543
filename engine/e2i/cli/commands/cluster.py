"""Commands about clusters."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import click

from e2i.cli.commands import flags
from e2i.cli.exits import guarded
from e2i.errors import Exit, ToolUnavailable


@click.group()
def cluster() -> None:
    """Run a cluster of this machine, whose nodes execute pure steps."""


@cluster.command("up", cls=flags.Inert)
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 256), help="Number of nodes.")
@click.option("--slots", default=1, show_default=True, type=click.IntRange(1, 256), help="Steps of a node at a time.")
@click.option("--resources", default="", help="What each node declares, as `gpus=1 zone:eu=1`.")
@click.option("--port", default=0, type=click.IntRange(0, 65_535), help="Port of the scheduler; default: a free one.")
@click.option(
    "--folder",
    default=Path(".e2i-cluster"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of certificates, logs, shared storage and the nodes' own folders.",
)
@guarded
def up(workers: int, slots: int, resources: str, port: int, folder: Path) -> Exit:
    """Start a scheduler and nodes on this machine, encrypted by certificates made now. Runs until it is interrupted.

    Prints the settings by which runs use it, and writes them to executor.yaml in the folder.
    """
    from e2i.cluster import local
    from e2i.cluster.faults import ClusterGone

    for name in ("distributed", "cryptography"):
        if find_spec(name) is None:
            message = f"{name} is not installed"
            raise ToolUnavailable("dask", message, code="tool-missing", hint='pip install "e2i[dask]"')

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        with local.running(folder, workers, slots=slots, resources=resources, port=port, environ=os.environ) as running:
            click.echo(local.as_yaml(running.settings), nl=False)
            copy = f"copy {folder / local.SETTINGS} to config/cluster.yaml, then: e2i-run SPEC --profile cluster"
            click.echo(f"# {workers} nodes are up; Ctrl-C ends them. To use them, {copy}", err=True)
            for ended in running.ends():
                click.echo(f"warning: {ended} has ended: see {folder / f'{ended}.log'}", err=True)
    except KeyboardInterrupt:
        return Exit.DONE
    what = "the scheduler" if ended == "scheduler" else "every node"
    raise ClusterGone(f"{what} of the local cluster has ended", hint=f"see the logs in {folder}; start it again")
