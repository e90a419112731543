"""Turn errors into text and an exit code, in one module.

In: a command's outcome. Out: the process's exit code.
"""

from __future__ import annotations

import errno
import functools
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import click
from msgspec import Meta

from e2i.cli import problems_view
from e2i.documents import Element, JsonDocument
from e2i.errors import BadInput, E2IError, Exit, InvalidSpec
from e2i.spec.problems import ProblemsDocument


class ErrorFacts(Element, frozen=True, kw_only=True):
    """An error of a command."""

    code: Annotated[str, Meta(description="Code, for `e2i explain CODE`.")]
    message: Annotated[str, Meta(description="Description for people.")]
    hint: Annotated[str | None, Meta(description="What to do about it.")]


class FailedCommand(JsonDocument, frozen=True, kw_only=True):
    """Output of a command that failed, with `--json`."""

    error: ErrorFacts


MEANINGS = {
    Exit.DONE: "success; for `validate`: valid; for `plan`: planned",
    Exit.STEP_FAILED: "a step failed, not only because of an outage, also when a signal ended the run after that",
    Exit.BAD_INPUT: "invalid input: spec, parameter, option, configuration",
    Exit.REFUSED: "refused: not allowed, the plan no longer matches the approved one, or the policy cannot be read or "
    "is invalid",
    Exit.UNAVAILABLE: "something required is missing or unreachable; for `run`: steps failed, and only because their "
    "tools were unavailable; standard output cannot be written (the run still "
    "completes, and a failed step still is 1); for `sync`: entries still wait, or steps are "
    "still deferred; for `run --strict`: a step was "
    "deferred, or telemetry waits or was refused (without it: 0, and `degraded: true` in `run.finished`)",
    Exit.DEFECT: "a defect of e2i: one line, and the file with the full traceback",
    Exit.HUNG_UP: "interrupted by SIGHUP: the terminal was closed; the run can be resumed",
    Exit.INTERRUPTED: "interrupted by Ctrl-C (SIGINT); the run can be resumed",
    Exit.QUIT: "interrupted by SIGQUIT; the run can be resumed",
    Exit.TERMINATED: "interrupted by SIGTERM; the run can be resumed",
}
"""The meaning of each exit code, for the reference of commands."""


def guarded(command: Callable[..., Exit]) -> Callable[..., NoReturn]:
    """Runs a command and ends the process with its exit code. Errors are printed without a traceback."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> NoReturn:
        outcome = Outcome(as_json=bool(kwargs.get("as_json")))
        outcome.of(lambda: command(*args, **kwargs))
        sys.exit(int(outcome.code))

    return wrapper


class Outcome:
    """The outcome of a command. Its exit code is set before anything is printed."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.code = Exit.DONE

    def of(self, command: Callable[[], Exit]) -> None:
        """Runs the command and reports its error, if any."""
        try:
            self.code = command()
        except InvalidSpec as error:
            self.code = error.exit_code
            if self.as_json:
                _print_json(ProblemsDocument.of(error.problems))
            else:
                problems_view.show(error.problems)
        except E2IError as error:
            self._report(error)
        except (KeyboardInterrupt, click.Abort):
            self.code = Exit.INTERRUPTED
            click.echo("interrupted", err=True)
        except click.ClickException:
            raise
        except Exception as error:  # noqa: BLE001 - the outermost boundary: a defect of e2i is one line and the path of its trace
            from e2i.store import disk

            trouble = _too_long(error) or disk.trouble(error)
            if trouble is not None:
                self._report(trouble)
                return
            self.code = Exit.DEFECT
            message = problems_view.safe(str(error))
            click.echo(f"internal error in e2i: {type(error).__name__}: {message} ({_trace()})", err=True)

    def _report(self, error: E2IError) -> None:
        self.code = error.exit_code
        if self.as_json:
            _print_json(FailedCommand(error=ErrorFacts(code=error.code, message=error.message, hint=error.hint)))
        problems_view.show_error(error)


def _too_long(error: Exception) -> BadInput | None:
    """Returns the error of a path that is too long for a file system. Only the command line can cause it."""
    if not isinstance(error, OSError) or error.errno != errno.ENAMETOOLONG:
        return None
    message = f"file name too long: {str(error.filename)[:80]}…"
    return BadInput(message, code="bad-path", hint="use a shorter path")


def _trace() -> str:
    """Writes the traceback of the error that is being handled to a file. Returns a sentence with its path."""
    import tempfile
    import traceback

    try:
        with tempfile.NamedTemporaryFile("w", prefix="e2i-defect-", suffix=".txt", delete=False) as file:
            traceback.print_exc(file=file)
    except OSError as error:
        return f"the trace cannot be written: {error.strerror}"
    return f"the full trace is in {file.name}"


def _print_json(document: Any) -> None:
    from e2i.cli import documents

    click.echo(documents.dumps(document))  # one line: `run --json` prints JSON lines
