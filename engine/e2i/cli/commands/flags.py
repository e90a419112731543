"""The options that several commands have. In: a command. Out: the same command with the option."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from e2i.cli.problems_view import safe

F = TypeVar("F", bound=Callable[..., Any])


class Inert(click.Command):
    """A command whose usage errors repeat arguments, such as the names of files, without what steers a terminal."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.ClickException as error:
            error.message = safe(error.message)  # type: ignore[misc]  # no other way to the text it shows
            raise


def json(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")(command)


def profile(command: F) -> F:
    return click.option("--profile", metavar="P", help="Settings of config/P.yaml over config/default.yaml.")(command)


def origin(command: F) -> F:
    return click.option(
        "--origin",
        metavar="WHO",
        help="Who wrote the spec: human or agent; the policy differs. Default: E2I_ORIGIN or human.",
    )(command)


def store(command: F) -> F:
    return click.option(
        "--store",
        type=click.Path(path_type=Path, file_okay=False),
        help="Where all state lives. Default: .e2i/ or E2I_STORE.",
    )(command)


def params(command: F) -> F:
    return click.option(
        "-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the spec; VALUE is YAML."
    )(command)


def select(command: F) -> F:
    return click.option(
        "--select", multiple=True, metavar="EXPR", help="Only these steps and what they need: id, id+, +id, tag:x."
    )(command)


def fresh(command: F) -> F:
    return click.option(
        "--fresh", is_flag=True, help="Carry every step out again; what a tool holds for equal inputs stays."
    )(command)
