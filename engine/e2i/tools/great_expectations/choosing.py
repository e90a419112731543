"""Choose the suite of a step. In: a name or a list, the workspace's files, the settings. Out: a suite.

A name is that of a file in the workspace, or else of a suite that e2i ships. ``default`` stands for the suite of a
problem type, unless the workspace has a file of that name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from e2i.errors import BadInput, StepError
from e2i.tools.great_expectations import GreatExpectationsSettings
from e2i.tools.great_expectations.suite import DEFAULT, DEFAULT_SUITE, Expectation, Suite, load, path_of, shipped

if TYPE_CHECKING:
    from e2i.catalog.context import StepContext


def chosen(given: str | tuple[Expectation, ...], ctx: StepContext, problem_type: Callable[[], str | None]) -> Suite:
    """Return the suite of a name, or of a list in the spec. ``problem_type`` is asked for ``default`` alone.

    Raises BadInput for an unknown suite and one that cannot be read, Refused for one that would execute code.
    """
    if not isinstance(given, str):
        return Suite(name="inline", expectations=given)
    found, error = _named(given, ctx)
    if found is not None:
        return found
    if given != DEFAULT:
        hint = error.hint.replace(".yaml", "") if error and error.hint else None
        message = f"there is no suite {given!r}: {path_of(given)} does not exist"
        raise BadInput(message, code="unknown-suite", hint=hint) from error
    kind = problem_type()
    if kind is None:
        raise BadInput(
            f"`suite: {DEFAULT}` is that of a problem type, which is not given",
            code="missing-action-parameter",
            hint="set `problem_type`, or `target` where the action has it",
        )
    settings = cast("GreatExpectationsSettings", ctx.settings("great_expectations"))
    name = settings.default_suites.get(kind, DEFAULT_SUITE)
    found, error = _named(name, ctx)
    if found is None:
        raise BadInput(
            f"there is no suite {name!r}, which `default_suites` names for {kind}", code="unknown-suite"
        ) from error
    return found


def _named(name: str, ctx: StepContext) -> tuple[Suite | None, StepError | None]:
    """Return the suite of that name; None and the reason when there is none."""
    try:
        return load(ctx.held_file(path_of(name)), name), None
    except StepError as error:
        if error.code != "no-such-file":
            raise
        return shipped(name), error
