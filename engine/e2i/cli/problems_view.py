"""Print problems and errors for people, on standard error, with the location and a caret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import click

from e2i import regular
from e2i.errors import E2IError
from e2i.spec.problems import Problem

MOST = 50
"""Maximum number of problems that are shown in full."""


def show(problems: Sequence[Problem], texts: Mapping[str, str] | None = None) -> None:
    """Prints every problem with its source line, from the file or from ``texts`` under the file's name."""
    listed = [problem for problem in problems if problem.code != "too-many-problems"]
    for problem in listed[:MOST]:
        click.echo(render(problem, texts), err=True)
    if len(listed) > MOST:
        click.echo(f"… and {len(listed) - MOST} more (--json lists them)", err=True)
    for problem in problems:
        if problem.code == "too-many-problems":
            click.echo(f"… and {problem.message}; {problem.hint}", err=True)


def render(problem: Problem, texts: Mapping[str, str] | None = None) -> str:
    """Returns one problem as text: location, message, code, the line with a caret, and what to do."""
    colour = "red" if problem.severity == "error" else "yellow"
    head = f"{click.style(safe(str(problem.location)), bold=True)}: {click.style(problem.severity, fg=colour)}: "
    lines = [f"{head}{safe(problem.message)} {click.style(f'[{problem.code}]', dim=True)}"]
    text = (texts or {}).get(problem.location.file)
    lines_of = _lines(problem.location.file) if text is None else text.splitlines()
    source = _line(lines_of, problem.location.line)
    if source.strip() and problem.code != "secret-literal":  # the line holds a secret, which must not reach a log
        number = f"{problem.location.line:>5} | "
        shown, column = _window(source, problem.location.column)
        lines.append(click.style(number, dim=True) + safe(shown))
        lines.append(
            click.style(" " * 6 + "| ", dim=True) + " " * (column - 1) + click.style("^", fg=colour, bold=True)
        )
    if problem.hint:
        lines.append(click.style(" " * 6 + "= ", dim=True) + safe(problem.hint))
    return "\n".join(lines)


def show_error(error: E2IError) -> None:
    """Prints an error that has no location in a file."""
    click.echo(
        f"{click.style('error', fg='red')}: {safe(error.message)} {click.style(f'[{error.code}]', dim=True)}", err=True
    )
    if error.hint:
        click.echo(f"       {safe(error.hint)}", err=True)


def safe(text: str) -> str:
    """Returns the text with control characters escaped, so that it cannot steer a terminal."""
    return "".join(
        char if char.isprintable() or char in "\n" else char.encode("unicode_escape").decode() for char in text
    )


def _window(source: str, column: int, width: int = 110) -> tuple[str, int]:
    """Returns the section of a long line around the column, and the column within it."""
    if len(source) <= width:
        return source, column
    start = max(0, min(column - width // 2, len(source) - width))
    return source[start : start + width], column - start


@cache
def _lines(file: str) -> tuple[str, ...]:
    try:
        text = regular.read(Path(file), regular.SPEC).decode("utf-8", "replace")
        return tuple(text.removeprefix("\ufeff").splitlines())
    except (OSError, ValueError):
        return ()


def _line(lines: Sequence[str], number: int) -> str:
    return lines[number - 1].replace("\t", " ") if 0 < number <= len(lines) else ""
