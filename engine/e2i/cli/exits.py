"""A command's outcome goes in, the process's exit code comes out: the one place where errors become text."""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import click

from e2i.cli import problems_view
from e2i.errors import E2IError, Exit, InvalidSpec


def guarded(command: Callable[..., Exit]) -> Callable[..., NoReturn]:
    """Runs a command and ends the process with its exit code; an error is printed, never a traceback."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> NoReturn:
        as_json = bool(kwargs.get("as_json"))
        try:
            code = command(*args, **kwargs)
        except InvalidSpec as error:
            code = error.exit_code
            if as_json:
                _print_json({"schema_version": 1, "valid": False, "problems": [p.to_json() for p in error.problems]})
            else:
                problems_view.show(error.problems)
        except E2IError as error:
            code = error.exit_code
            if as_json:
                body = {"code": error.code, "message": error.message, "hint": error.hint}
                _print_json({"schema_version": 1, "error": body})
            problems_view.show_error(error)
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            code = Exit.INTERRUPTED
        except click.ClickException:
            raise
        except BrokenPipeError:
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
            )  # so that the interpreter's flush is quiet too
            code = Exit.DONE
        except Exception as error:  # noqa: BLE001 - the outermost boundary: a defect of ours is one line and a place
            code = Exit.DEFECT
            with tempfile.NamedTemporaryFile("w", prefix="e2i-defect-", suffix=".txt", delete=False) as file:
                traceback.print_exc(file=file)
            click.echo(f"a defect in e2i: {type(error).__name__}: {error} (the full trace is in {file.name})", err=True)
        sys.exit(int(code))

    return wrapper


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=1, ensure_ascii=False))
