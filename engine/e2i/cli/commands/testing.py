"""The commands that try a spec out: on given data, and on a sample."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2i.cli import completion, documents
from e2i.cli.commands import flags
from e2i.cli.exits import guarded
from e2i.errors import Exit

if TYPE_CHECKING:
    from e2i.api import Workspace
    from e2i.testing.mutation.process import Assignment
    from e2i.testing.suite import ReadyFile


@click.command(cls=flags.Inert)
@click.argument("paths", metavar="[PATH]...", nargs=-1, shell_complete=completion.files)
@click.option("-k", "only", metavar="TEXT", default="", help="Only cases whose file::name contains TEXT.")
@click.option(
    "--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write the results as JUnit XML to FILE."
)
@click.option(
    "--coverage", is_flag=True, help="Report steps, conditions, combinations and outputs that no case exercises."
)
@click.option("--update", is_flag=True, help="Write the snapshots, instead of comparing with them.")
@click.option(
    "--mutate", metavar="N", type=click.IntRange(1, 10_000), help="Judge the tests by N mutants of the specs."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The sample of --mutate.")
@click.option("--min-score", metavar="PERCENT", type=click.FloatRange(0, 100), help="Fail when --mutate kills fewer.")
@click.option("--from", "run", metavar="RUN", help="Make a case of a step of this run: its inputs become fixtures.")
@click.option("--step", metavar="ID", help="The step for --from.")
@flags.profile
@flags.origin
@flags.store
@flags.json
@guarded
def test(
    paths: tuple[str, ...],
    only: str,
    junit: Path | None,
    coverage: bool,
    update: bool,
    mutate: int | None,
    seed: int,
    min_score: float | None,
    run: str | None,
    step: str | None,
    profile: str | None,
    origin: str | None,
    store: Path | None,
    as_json: bool,
) -> Exit:
    """Test specs with the cases in NAME.test.yaml beside NAME.yaml.

    PATH is a test file, a spec with a test file, or a folder; default: the current folder. Each case runs in a
    throw-away store, without trackers. With --mutate, the specs are changed a little, N times, and the cases should
    notice.
    """
    os.umask(0o077)  # as for a run
    from e2i import api
    from e2i.cli import test_view
    from e2i.testing import suite
    from e2i.testing.mutation.process import Assignment

    if run is not None or step is not None:
        if run is None or step is None:
            raise click.UsageError("Pass both --from RUN and --step ID.")
        return _record(run, step, api.Workspace.open(store=store, profile=profile, origin=origin), as_json=as_json)
    ready = suite.load(paths or (".",), profile=profile, origin=origin, update=update)
    if mutate is not None:
        return _mutate(ready, mutate, seed, min_score, Assignment(profile, origin, only), as_json=as_json)
    listen = (lambda file, result: None) if as_json else test_view.Progress()
    found = suite.run(ready, only=only, with_coverage=coverage, update=update, listen=listen)
    if junit is not None:
        from e2i.testing import junit as xml

        xml.write(junit, found)
    if as_json:
        documents.show(found)
    else:
        test_view.show_summary(found)
    return Exit.STEP_FAILED if found.failed else Exit.DONE


@click.command(cls=flags.Inert)
@click.argument("spec", shell_complete=completion.files)
@click.option("--rows", type=click.IntRange(min=1), default=2_000, show_default=True, help="Rows of each source.")
@click.option("--empty", is_flag=True, help="Take no rows: find wrong columns and types in seconds.")
@click.option("--by", metavar="COLUMN", help="Take the rows of an entity all or not. Default: the spec's entity.")
@click.option("--stratify", metavar="COLUMN", help="Keep the shares of these classes. Default: the spec's target.")
@flags.params
@flags.profile
@flags.origin
@flags.store
@flags.json
@guarded
def rehearse(
    spec: str,
    rows: int,
    empty: bool,
    by: str | None,
    stratify: str | None,
    params: tuple[str, ...],
    profile: str | None,
    origin: str | None,
    store: Path | None,
    as_json: bool,
) -> Exit:
    """Run a whole spec on a sample, in a throw-away store.

    Finds what would fail late. Trackers, databases, files and the store stay as they are. Ends with what was not
    exercised.
    """
    os.umask(0o077)  # as for a run
    from e2i import api
    from e2i.cli import options, rehearsal_view
    from e2i.rehearsal.sampling import Wanted

    workspace = api.Workspace.open(spec=spec, store=store, profile=profile, origin=origin)
    wanted = Wanted(rows, by, stratify)
    return rehearsal_view.rehearse(spec, options.parameters(params), wanted, workspace, empty=empty, as_json=as_json)


def _mutate(
    ready: Sequence[ReadyFile], most: int, seed: int, least: float | None, assignment: Assignment, *, as_json: bool
) -> Exit:
    """Judges the tests by mutants of their specs."""
    from e2i.cli import mutation_view
    from e2i.testing.mutation import running

    listen = mutation_view.Progress(most)
    found = running.run(ready, most, seed, assignment, listen)
    listen.close()
    documents.show(found) if as_json else mutation_view.show(found)
    below = least is not None and found.score is not None and 100 * found.score < least
    return Exit.STEP_FAILED if found.broken or below else Exit.DONE


def _record(run: str, step: str, workspace: Workspace, *, as_json: bool) -> Exit:
    """Makes a case of a step of a run."""
    from e2i.cli import test_view
    from e2i.testing import recording

    found = recording.record(run, step, workspace)
    documents.show(found) if as_json else test_view.show_recorded(found)
    return Exit.DONE
