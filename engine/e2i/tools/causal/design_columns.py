"""Derive the outputs of the designs of ``causal.*`` while planning. In: known parameters. Out: columns and problems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from e2i.catalog.columns import ColumnProblem, Flow, Given, KnownTable, absent
from e2i.catalog.files import Files

CHECKS = {"check": "string", "value": "double", "threshold": "double", "passed": "bool", "meaning": "string"}
BANDWIDTHS = {
    "bandwidth": "double",
    "rows": "int64",
    **dict.fromkeys(("effect", "effect_low", "effect_high"), "double"),
}

EFFECT = dict.fromkeys(("effect", "effect_low", "effect_high"), "double")
EVENTS = {"event": "int64", **EFFECT}
COHORTS = {"first_period": "string", "units": "int64", **EFFECT}
LOOKS = {"look": "int64", "entities": "int64", **EFFECT, "decided": "bool"}
SIZES = {"entities": "int64", "effect": "double", "effect_adjusted": "double"}


def did(given: Given, files: Files) -> Flow:
    """Return the tables of a difference in differences."""
    problems = [*_absent(given, "unit", "time", "outcome", "treatment", "group"), *_numbers(given, "outcome")]
    tables = {"checks": KnownTable(CHECKS), "events": KnownTable(EVENTS), "groups": KnownTable(COHORTS)}
    return Flow(tables, problems)


def experiment(given: Given, files: Files) -> Flow:
    """Return the tables of an experiment, and covariates that were not known before it."""
    names = ("treatment", "outcome", "covariates", "time", "group")
    problems = [*_absent(given, *names), *_numbers(given, "outcome"), *_covariates(given)]
    return Flow({"checks": KnownTable(CHECKS), "looks": KnownTable(LOOKS)}, problems)


def power(given: Given, files: Files) -> Flow:
    """Return the table of sizes."""
    problems = [*_absent(given, "outcome", "covariates", "group"), *_numbers(given, "outcome"), *_covariates(given)]
    return Flow({"sizes": KnownTable(SIZES)}, problems)


def _covariates(given: Given) -> Iterator[ColumnProblem]:
    """Yield covariates that are the treatment or the outcome, or computed from them."""
    table, names = given["table"], given.get("covariates")
    roles = {"treatment": given.get("treatment"), "outcome": given.get("outcome")}
    for index, name in enumerate(names if isinstance(names, list | tuple) else ()):
        for role, column in roles.items():
            made = isinstance(column, str) and isinstance(table, KnownTable) and name in set(table.gives_away(column))
            if isinstance(column, str) and (name == column or made):
                what = f"the {role}" if name == column else f'computed from the {role} "{column}"'
                message = f'"{name}" is {what}, and was not known before'
                yield ColumnProblem(("covariates", index), "bad-control", message, hint="remove it")


def rdd(given: Given, files: Files) -> Flow:
    """Return the tables of a regression discontinuity."""
    names = ("running", "outcome", "treatment", "unchanged", "group")
    problems = [*_absent(given, *names), *_numbers(given, "running", "outcome", "treatment")]
    one, other = given.get("treatment"), given.get("outcome")
    if isinstance(one, str) and one in (other, given.get("running")):
        role = "outcome" if one == other else "running variable"
        hint = "name the column of who was treated"
        problems.append(ColumnProblem(("treatment",), "bad-control", f'"{one}" is the {role} too', hint=hint))
    return Flow({"checks": KnownTable(CHECKS), "bandwidths": KnownTable(BANDWIDTHS)}, problems)


def iv(given: Given, files: Files) -> Flow:
    """Return the checks, and instruments that the graph does not allow."""
    names = ("treatment", "outcome", "instruments", "confounders", "group")
    problems = [*_absent(given, *names), *_numbers(given, "treatment", "outcome"), *_by_graph(given, "instruments")]
    return Flow({"checks": KnownTable(CHECKS)}, problems)


def front_door(given: Given, files: Files) -> Flow:
    """Return the checks, and mediators that are no front door of the graph."""
    names = ("treatment", "outcome", "mediators", "confounders", "group")
    problems = [*_absent(given, *names), *_numbers(given, "outcome"), *_by_graph(given, "mediators")]
    return Flow({"checks": KnownTable(CHECKS)}, problems)


def _absent(given: Given, *names: str) -> Iterator[ColumnProblem]:
    for name in names:
        yield from absent(given["table"], (name,), given.get(name))


def _numbers(given: Given, *names: str) -> Iterator[ColumnProblem]:
    """Yield columns that are text or times where numbers are needed."""
    table = given["table"]
    for name in names:
        column = given.get(name)
        kind = table.columns.get(column) if isinstance(table, KnownTable) and isinstance(column, str) else None
        if kind is not None and kind.startswith(("string", "large_string", "timestamp", "date", "time", "duration")):
            message = f'"{column}" is a {kind}, and {name} is a number'
            yield ColumnProblem((name,), "not-a-number", message, hint="name a column of numbers")


def _by_graph(given: Given, role: str) -> Iterator[ColumnProblem]:
    """Yield what the graph says against the instruments, or the mediators."""
    lists = [given.get(name, ()) for name in (role, "confounders", "graph", "unmeasured")]
    treatment, outcome = given.get("treatment"), given.get("outcome")
    if not isinstance(treatment, str) or not isinstance(outcome, str) or not lists[2]:
        return
    if not all(isinstance(one, list | tuple) and all(isinstance(name, str) for name in one) for one in lists):
        return
    table: Any = given["table"]
    from e2i.tools.causal import adjustment  # networkx is not needed for a spec without a graph

    named, confounders, lines, unmeasured = map(tuple, lists)
    columns = tuple(table.columns) if isinstance(table, KnownTable) else None
    asked = adjustment.Asked(treatment, outcome, (), confounders, lines, unmeasured, columns)
    check = adjustment.of_mediators if role == "mediators" else adjustment.of_instruments
    for found in check(asked, named):
        yield ColumnProblem(found.path, found.code, found.message, hint=found.hint)
