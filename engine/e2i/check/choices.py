"""Find the names that an action accepts at a place in its parameters: columns, features, hyperparameters.

In: parameters with a placeholder at the place, and the types of a checked spec. Out: the names.

The action's own column flow is asked about the placeholder, a name that nothing has. Its problem lists the names that
there are, so a completion offers exactly what a check accepts.
"""

from __future__ import annotations

from e2i.catalog.columns import UNKNOWN, Given, KnownTable
from e2i.catalog.files import Files
from e2i.check import flow, waiting_values
from e2i.check.type_environment import TypeEnvironment
from e2i.documents import ParamValues
from e2i.errors import E2IError
from e2i.spec.expansion.expanded import At, Expanded
from e2i.spec.expansion.nodes import Pending
from e2i.spec.values import ExpressionError


def given(expanded: Expanded, environment: TypeEnvironment, uses: str, written: ParamValues, at: At) -> Given | None:
    """Returns the parameters of a step as its column flow takes them, also when they are not valid yet. None when
    there is no such action.
    """
    action = environment.registry.action(uses)
    if action is None:
        return None
    values = ParamValues()
    for name, value in written.items():
        if name in action.params.model_fields:
            try:
                values[name] = expanded.resolve(value, at, {})
            except ExpressionError:
                values[name] = Pending("", ())
    waiting = {path: waiting_values.types_of(environment, at, each)[0] for path, each in waiting_values.walk(values)}
    found = dict(flow.given(environment.registry, action, values, waiting))
    for name in action.params.model_fields:
        found.setdefault(name, UNKNOWN)  # required, and not written yet
    return found


def names(environment: TypeEnvironment, uses: str, given: Given, placeholder: str, files: Files) -> tuple[str, ...]:
    """Returns the names that the action accepts where its parameters have the placeholder, in their own order."""
    column_flow = environment.registry.column_flow(uses)
    if column_flow is None:
        return ()
    try:
        problems = column_flow(given, files).problems
    except (LookupError, TypeError, AttributeError, ValueError, E2IError):
        return ()  # a column flow expects valid parameters, and these are being written
    known = (problem.known for problem in problems if problem.name == placeholder)
    return tuple(dict.fromkeys(name for names in known for name in names))


def tables(given: Given) -> dict[str, KnownTable]:
    """Returns the tables among the parameters, also those in a mapping, by the name of the parameter or entry."""
    found: dict[str, KnownTable] = {}
    for name, value in given.items():
        if isinstance(value, KnownTable):
            found[name] = value
        elif isinstance(value, dict):
            found |= {str(key): item for key, item in value.items() if isinstance(item, KnownTable)}
    return found
