"""Make a new project, with a starter spec or a spec for one's own table."""

from __future__ import annotations

import re
from pathlib import Path

import click

from e2i.cli import documents
from e2i.cli.problems_view import safe
from e2i.errors import BadInput, Exit

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def init(folder: Path, table: Path | None, target: str | None, name: str | None, *, as_json: bool) -> Exit:
    """Write the project into ``folder``. Raises BadInput before anything is written."""
    from e2i.catalog.schema import pipeline_schema
    from e2i.scaffold import project

    if (table is None) != (target is None):
        raise BadInput("--from and --target belong together", code="bad-option", hint="e2i init --from FILE --target Y")
    if name is not None and not NAME.fullmatch(name):
        hint = "use small letters, digits and _, beginning with a letter"
        raise BadInput(f"{name!r} is not a name for a spec", code="bad-option", hint=hint)
    if table is None or target is None:
        name, text = name or "starter", project.STARTER
        if name != "starter":
            text = text.replace("name: starter\n", f"name: {name}\n")
    else:
        path = _inside(folder, table)
        name = name or _name_of(table)
        text = _spec(folder, path, target, name)
    made = project.write(folder, text, name, documents.dumps(pipeline_schema(), indent=1) + "\n")
    if as_json:
        documents.show(made)
    else:
        for file in made.written:
            click.echo(f"{click.style('wrote', fg='green')}  {safe(file)}")
        for file in made.kept:
            click.echo(f"{click.style('kept', dim=True)}   {safe(file)}, which exists already")
        click.echo(f"\nnext: {made.next}")
    return Exit.DONE


def _spec(folder: Path, path: str, target: str, name: str) -> str:
    from e2i.scaffold import spec, table

    return spec.for_table(name, path, table.examine(folder / path, path, target))


def _inside(folder: Path, table: Path) -> str:
    """The table's path relative to the project. Specs read files of their project only."""
    if not table.is_file():
        raise BadInput(f"there is no file {table}", code="no-such-file")
    root, found = folder.resolve(), table.resolve()
    if not found.is_relative_to(root):
        hint = "copy the file into the project's folder, and name it there"
        raise BadInput(
            f"{table} is outside of {folder}: specs read files of their project only", code="bad-path", hint=hint
        )
    return found.relative_to(root).as_posix()


def _name_of(table: Path) -> str:
    """A name for the spec, from the file's name."""
    stem = re.sub(r"[^a-z0-9]+", "_", table.name.split(".")[0].lower()).strip("_")
    return stem if NAME.fullmatch(stem) else f"table_{stem}"[:63].rstrip("_")
