"""A command's outcome goes in, the process's exit code comes out: the one place where errors become text."""

from __future__ import annotations

import errno
import functools
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from e2i.cli import problems_view
from e2i.errors import BadInput, E2IError, Exit, InvalidSpec


def guarded(command: Callable[..., Exit]) -> Callable[..., NoReturn]:
    """Runs a command and ends the process with its exit code; an error is printed, never a traceback."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> NoReturn:
        outcome = Outcome(as_json=bool(kwargs.get("as_json")))
        outcome.of(lambda: command(*args, **kwargs))
        sys.exit(int(outcome.code))

    return wrapper


class Outcome:
    """What a command came to: its exit code is known before anything is printed about it."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.code = Exit.DONE

    def of(self, command: Callable[[], Exit]) -> None:
        """Runs the command and tells of its error, if there is one."""
        try:
            self.code = command()
        except InvalidSpec as error:
            self.code = error.exit_code
            if self.as_json:
                _print_json({"schema_version": 1, "valid": False, "problems": [p.to_json() for p in error.problems]})
            else:
                problems_view.show(error.problems)
        except E2IError as error:
            self._report(error)
        except (KeyboardInterrupt, click.Abort):
            self.code = Exit.INTERRUPTED
            click.echo("interrupted", err=True)
        except click.ClickException:
            raise
        except Exception as error:  # noqa: BLE001 - the outermost boundary: a defect of ours is one line and a place
            from e2i.store import disk

            trouble = _too_long(error) or disk.trouble(error)
            if trouble is not None:
                self._report(trouble)
                return
            self.code = Exit.DEFECT
            said = problems_view.safe(str(error))
            click.echo(f"a defect in e2i: {type(error).__name__}: {said} ({_trace()})", err=True)

    def _report(self, error: E2IError) -> None:
        self.code = error.exit_code
        if self.as_json:
            body = {"code": error.code, "message": error.message, "hint": error.hint}
            _print_json({"schema_version": 1, "error": body})
        problems_view.show_error(error)


def _too_long(error: Exception) -> BadInput | None:
    """The error of a path that no file system takes, which only what was given on the command line can be."""
    if not isinstance(error, OSError) or error.errno != errno.ENAMETOOLONG:
        return None
    message = f"a name is too long for a file: {str(error.filename)[:80]}…"
    return BadInput(message, code="bad-path", hint="give a shorter path")


def _trace() -> str:
    """Where the trace of the error that is being handled was written to."""
    import tempfile
    import traceback

    try:
        with tempfile.NamedTemporaryFile("w", prefix="e2i-defect-", suffix=".txt", delete=False) as file:
            traceback.print_exc(file=file)
    except OSError as error:
        return f"its trace cannot be kept: {error.strerror}"
    return f"the full trace is in {file.name}"


def _print_json(document: Any) -> None:
    from e2i.cli import documents

    click.echo(documents.dumps(document))  # one line: `run --json` prints JSON lines
