"""Derive the outputs of ``causal.*`` while planning. In: known parameters. Out: columns and problems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from e2i.catalog.columns import ColumnProblem, Flow, Given, KnownKeys, KnownModel, KnownTable, absent, is_time, settled
from e2i.catalog.files import Files
from e2i.catalog.lineage import Rows
from e2i.estimators.columns import lacking
from e2i.tools.causal.design_columns import CHECKS as CHECKS
from e2i.tools.causal.design_columns import did as did
from e2i.tools.causal.design_columns import experiment as experiment
from e2i.tools.causal.design_columns import front_door as front_door
from e2i.tools.causal.design_columns import iv as iv
from e2i.tools.causal.design_columns import power as power
from e2i.tools.causal.design_columns import rdd as rdd
from e2i.tools.causal.judging_columns import compare as compare
from e2i.tools.causal.judging_columns import needed
from e2i.tools.causal.judging_columns import policy as policy
from e2i.tools.causal.judging_columns import validate as validate

ADDED = ("effect", "effect_low", "effect_high")
"""The columns of a table of effects besides those that are copied."""
BALANCE = {"covariate": "string", "difference": "double", "weighted_difference": "double"}
LEVELS = {"level": "string", "rows": "int64", **dict.fromkeys((*ADDED, "outside"), "double")}
ROLES = ("effect_modifiers", "confounders")


def estimate(given: Given, files: Files) -> Flow:
    """Return the tables of an estimate, and columns that cannot have their role."""
    table = given["table"]
    named = ("treatment", "outcome", "instrument", "group", *ROLES, "keep")
    problems = [problem for name in named for problem in absent(table, (name,), given.get(name))]
    problems += _roles(given, table)
    problems += _graph(given, table)
    compared = given.get("continuous") is not True and given.get("instrument") is None
    averages = ("ATE", "ATT", "weighted", "naive") if compared else ("ATE", "naive")
    outputs: dict[str, Any] = {"averages": KnownKeys(averages), "balance": KnownTable(BALANCE)}
    outputs["levels"] = KnownTable(LEVELS)
    outcome, modifiers = given.get("outcome"), given.get("effect_modifiers")
    if isinstance(outcome, str) and settled(modifiers):
        rows = table.rows if isinstance(table, KnownTable) else Rows()
        estimator = given.get("estimator") if isinstance(given.get("estimator"), str) else None
        two = None if not settled(given.get("continuous")) else given.get("continuous") is not True
        outputs["model"] = KnownModel(
            outcome, tuple(modifiers or ()), "effect", rows, estimator, two, judged_by=_judged_by(given)
        )
    added, more = _added(given)
    return Flow(outputs | added, problems + more)


def refute(given: Given, files: Files) -> Flow:
    """Return the table of attempts."""
    table, model = given["table"], given.get("model")
    problems = [*absent(table, ("negative_controls",), given.get("negative_controls")), *needed(table, model)]
    if isinstance(model, KnownModel) and model.target is not None:
        problems += lacking(table, ("table",), [model.target], "the outcome of the model")
    return Flow({"checks": KnownTable(CHECKS)}, problems)


def effects(given: Given, files: Files) -> Flow:
    """Return the table of effects."""
    problems = [*absent(given["table"], ("keep",), given.get("keep")), *needed(given["table"], given.get("model"))]
    added, more = _added(given)
    return Flow(added, [*problems, *more])


def _added(given: Given) -> tuple[dict[str, KnownTable], list[ColumnProblem]]:
    table, keep = given["table"], given.get("keep")
    if not isinstance(table, KnownTable) or not settled(keep):
        return {}, []
    kept = table if keep is None else table.only(keep)
    hint = "list the columns to copy in `keep`, without it"
    problems = [
        ColumnProblem(("table",), "duplicate-column", f'the table already has a column "{name}"', hint=hint)
        for name in ADDED
        if name in kept.columns
    ]
    return {"effects": kept.plus(dict.fromkeys(ADDED, "double"))}, problems


def _judged_by(given: Given) -> tuple[str, ...]:
    """Return the columns of the question that are known, but the outcome and the modifiers."""
    listed = given.get("confounders")
    confounders = listed if isinstance(listed, list | tuple) else ()
    names = (given.get("treatment"), given.get("instrument"), given.get("group"), *confounders)
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))


def _graph(given: Given, table: Any) -> Iterator[ColumnProblem]:
    """Yield what the causal graph says against the question."""
    lists = [given.get(name, ()) for name in ("effect_modifiers", "confounders", "graph", "unmeasured")]
    treatment, outcome = given.get("treatment"), given.get("outcome")
    if lists[2] == []:  # a list is from the spec, the default is a tuple
        hint = "write its arrows, or leave `graph` out"
        yield ColumnProblem(("graph",), "bad-graph", "the graph is empty: the treatment is not in it", hint=hint)
    if not isinstance(treatment, str) or not isinstance(outcome, str) or treatment == outcome or not lists[2]:
        return
    if not all(isinstance(one, list | tuple) and all(isinstance(name, str) for name in one) for one in lists):
        return
    columns = tuple(table.columns) if isinstance(table, KnownTable) else None
    from e2i.tools.causal import adjustment  # networkx is not needed for a spec without a graph

    modifiers, confounders, lines, unmeasured = map(tuple, lists)
    asked = adjustment.Asked(treatment, outcome, modifiers, confounders, lines, unmeasured, columns)
    instrument = given.get("instrument")
    if isinstance(instrument, str):
        against = adjustment.of_instruments(asked, (instrument,), "instrument")
    else:
        against = adjustment.findings(asked)
    for found in against:
        alone = found.path[0] in ROLES and len(given[str(found.path[0])]) == 1
        removable = found.code == "bad-control" and not alone
        yield ColumnProblem(found.path, found.code, found.message, hint=found.hint, take_out=removable)


def _roles(given: Given, table: Any) -> Iterator[ColumnProblem]:
    """Yield columns that are adjusted for and cannot be: the treatment, the outcome, and what either decides."""
    treatment, outcome = given.get("treatment"), given.get("outcome")
    if treatment == outcome and isinstance(outcome, str):
        yield ColumnProblem(("outcome",), "bad-control", f'"{outcome}" is both treatment and outcome')
    instrument = given.get("instrument")
    if isinstance(instrument, str) and instrument in (treatment, outcome):
        other = "treatment" if instrument == treatment else "outcome"
        hint = "name a column that changes the treatment, and the outcome in no other way"
        yield ColumnProblem(("instrument",), "bad-instrument", f'"{instrument}" is the {other} too', hint=hint)
    decided = given.get("decided_at", ())
    listed = [(role, given.get(role)) for role in ROLES]
    for role, names in listed:
        if not isinstance(names, list | tuple):
            continue
        known = [name for name in names if isinstance(name, str)]
        late = table.known_later(known, decided) if isinstance(table, KnownTable) and settled(decided) else {}
        for index, name in enumerate(names):
            if isinstance(name, str) and (found := _bad_control(name, given, table, late)):
                yield ColumnProblem((role, index), "bad-control", found, hint="remove it", take_out=len(names) > 1)


def _bad_control(name: str, given: Given, table: Any, late: Any) -> str | None:
    """Return why a column cannot be adjusted for, or None."""
    treatment, outcome = given.get("treatment"), given.get("outcome")
    if name == given.get("instrument"):
        return f'"{name}" is the instrument: adjusting for it leaves nothing that it could change'
    if name in (treatment, outcome):
        return f'"{name}" is the {"treatment" if name == treatment else "outcome"}, and cannot be adjusted for'
    if name in late:
        return (
            f'"{name}" is known only at "{late[name]}", after the treatment is decided: adjusting for it would take '
            "away a part of the effect"
        )
    if not isinstance(table, KnownTable):
        return None
    if isinstance(outcome, str) and name in set(table.gives_away(outcome)):
        return f'"{name}" and the outcome "{outcome}" are computed from each other'
    if isinstance(treatment, str) and name in set(table.gives_away(treatment)):
        return f'"{name}" and the treatment "{treatment}" are computed from each other'
    if is_time(table.columns.get(name)):
        return f'"{name}" is a {table.columns[name]}, and times cannot be adjusted for'
    return None
