"""Options that several commands share.

In: a command. Out: the same command with the option.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from e2i.cli.problems_view import safe

F = TypeVar("F", bound=Callable[..., Any])


class Inert(click.Command):
    """A command whose usage errors show arguments, such as file names, with control characters escaped."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.ClickException as error:
            error.message = safe(error.message)  # type: ignore[misc]  # click has no other access to the text
            raise


def json(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")(command)


def profile(command: F) -> F:
    return click.option(
        "--profile",
        metavar="P",
        help="Use config/P.yaml on top of config/default.yaml. Default: E2I_PROFILE, or what ENVIRONMENT implies "
        "(development: dev, staging: staging, production: prod), or none.",
    )(command)


def origin(command: F) -> F:
    return click.option(
        "--origin",
        metavar="WHO",
        help="Author of the spec, human or agent; each has its own policy. Default: E2I_ORIGIN or human.",
    )(command)


def store(command: F) -> F:
    return click.option(
        "--store",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of the store. Default: .e2i/ or E2I_STORE.",
    )(command)


def params(command: F) -> F:
    return click.option(
        "-p",
        "--param",
        "params",
        multiple=True,
        metavar="NAME=VALUE",
        help="Set a parameter; VALUE is YAML.",
    )(command)


def select(command: F) -> F:
    return click.option(
        "--select", multiple=True, metavar="EXPR", help="Select steps and what they need: id, id+, +id, tag:x."
    )(command)


def fresh(command: F) -> F:
    return click.option(
        "--fresh",
        is_flag=True,
        help="Run every step again, ignoring cached results. Data already in external tools is kept.",
    )(command)
