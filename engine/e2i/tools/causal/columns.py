"""Derive the outputs of ``causal.*`` while planning. In: known parameters. Out: columns and problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from e2i.catalog.columns import ColumnProblem, Flow, Given, KnownKeys, KnownModel, KnownTable, absent, is_time, settled
from e2i.catalog.files import Files
from e2i.catalog.lineage import Rows
from e2i.estimators.columns import lacking, seen
from e2i.spec.problems import Code
from e2i.tools.causal.design_columns import CHECKS as CHECKS
from e2i.tools.causal.design_columns import did as did
from e2i.tools.causal.design_columns import experiment as experiment
from e2i.tools.causal.design_columns import iv as iv
from e2i.tools.causal.design_columns import power as power
from e2i.tools.causal.design_columns import rdd as rdd
from e2i.tools.causal.learners import LEARNERS

ADDED = ("effect", "effect_low", "effect_high")
"""The columns of a table of effects besides those that are copied."""
BALANCE = {"covariate": "string", "difference": "double", "weighted_difference": "double"}
LEVELS = {"level": "string", "rows": "int64", **dict.fromkeys((*ADDED, "outside"), "double")}
GROUPS = {"group": "int64", "rows": "int64", **dict.fromkeys(("predicted", "effect", *ADDED[1:]), "double")}
CURVE = dict.fromkeys(("share", "advantage", "advantage_low", "advantage_high", "gain"), "double")
RANKING = {
    "candidate": "string",
    "estimator": "string",
    **dict.fromkeys(("autoc", "autoc_low", "autoc_high", "qini", "slope", "calibration", "score"), "double"),
    **dict.fromkeys(("behind", "behind_low", "behind_high"), "double"),
}
VALUES = {
    "policy": "string",
    **dict.fromkeys(("treated", "value", "value_low", "value_high"), "double"),
    **dict.fromkeys(("advantage", "advantage_low", "advantage_high"), "double"),
}
DECIDED = {"predicted_effect": "double", "cost": "double", "rank": "int64", "treat": "bool"}
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
        outputs["model"] = KnownModel(outcome, tuple(modifiers or ()), "effect", rows, estimator)
    added, more = _added(given)
    return Flow(outputs | added, problems + more)


def refute(given: Given, files: Files) -> Flow:
    """Return the table of attempts."""
    table, model = given["table"], given.get("model")
    problems = [*absent(table, ("negative_controls",), given.get("negative_controls")), *_needed(table, model)]
    if isinstance(model, KnownModel) and model.target is not None:
        problems += lacking(table, ("table",), [model.target], "the outcome of the model")
    return Flow({"checks": KnownTable(CHECKS)}, problems)


def effects(given: Given, files: Files) -> Flow:
    """Return the table of effects."""
    problems = [*absent(given["table"], ("keep",), given.get("keep")), *_needed(given["table"], given.get("model"))]
    added, more = _added(given)
    return Flow(added, [*problems, *more])


def validate(given: Given, files: Files) -> Flow:
    """Return the tables of a validation, and a problem for rows that the model has seen."""
    tables = {"groups": KnownTable(GROUPS), "curve": KnownTable(CURVE)}
    return Flow(tables, [*_judged(given["table"], given.get("model"))])


def compare(given: Given, files: Files) -> Flow:
    """Return the ranking and what all candidates share, and a problem for rows that one of them has seen."""
    models = dict.fromkeys(_candidates(given.get("candidates")))
    problems = dict.fromkeys(problem for model in models for problem in _judged(given["table"], model))
    targets = {model.target for model in models if isinstance(model, KnownModel)}
    features = {model.features for model in models if isinstance(model, KnownModel)}
    best = (
        KnownModel(next(iter(targets)), next(iter(features)), "effect")
        if len(targets) == len(features) == 1
        else KnownModel()
    )
    return Flow({"ranking": KnownTable(RANKING), "model": best}, list(problems))


def policy(given: Given, files: Files) -> Flow:
    """Return the decisions, and problems of tables that lack a column or have rows that the model has seen."""
    table, held_out, model = given["table"], given["held_out"], given.get("model")
    learn_from, cost, keep = given.get("learn_from"), given.get("cost"), given.get("keep")
    problems = [*absent(table, ("keep",), keep), *_needed(table, model), *_judged(held_out, model, "held_out")]
    if isinstance(learn_from, KnownTable):
        problems += seen(held_out, ("held_out",), learn_from.rows)
    for other in (table, held_out, learn_from):
        problems += absent(other, ("cost",), cost)
    outputs = {"values": KnownTable(VALUES)}
    if not isinstance(table, KnownTable) or not settled(keep):
        return Flow(outputs, problems)
    kept = table if keep is None else table.only(keep)
    hint = "list the columns to copy in `keep`, without it"
    problems += [
        ColumnProblem(("table",), "duplicate-column", f'the table already has a column "{name}"', hint=hint)
        for name in DECIDED
        if name in kept.columns
    ]
    outputs["decisions"] = kept.plus(DECIDED)
    outputs["chosen"] = kept.plus(DECIDED).without(["treat"]).chosen("")
    return Flow(outputs, problems)


def _candidates(candidates: Any) -> Iterator[Any]:
    """Yield what is known of each candidate, in any form that a spec allows."""
    listed = candidates if isinstance(candidates, list | tuple) else ()
    for item in candidates.values() if isinstance(candidates, Mapping) else listed:
        found = item.get("outputs", item) if isinstance(item, Mapping) else item
        yield found.get("model") if isinstance(found, Mapping) else found


def _judged(table: Any, model: Any, name: str = "table") -> Iterator[ColumnProblem]:
    """Yield problems of rows that are to judge a model: without its columns, or those that it was estimated on."""
    yield from _needed(table, model, name)
    if isinstance(model, KnownModel):
        learner = LEARNERS.get(model.algorithm or "")
        if learner is not None and learner.instrumented:
            why = f"the model is {model.algorithm}, and its effects by an instrument cannot be judged by adjusting"
            yield ColumnProblem((name,), "other-question", why, hint="judge models without an instrument")
        if model.target is not None:
            yield from lacking(table, (name,), [model.target], "the outcome of the model")
        yield from seen(table, (name,), model.trained_on)


def _needed(table: Any, model: Any, name: str = "table") -> Iterator[ColumnProblem]:
    """Return a problem when the table lacks effect modifiers of the model."""
    features = model.features if isinstance(model, KnownModel) else None
    return lacking(table, (name,), features or (), "effect modifiers of the model")


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
    decided = given.get("decided_at", ())
    listed = [(role, given.get(role)) for role in ROLES]
    for role, names in listed:
        if not isinstance(names, list | tuple):
            continue
        known = [name for name in names if isinstance(name, str)]
        late = table.known_later(known, decided) if isinstance(table, KnownTable) and settled(decided) else {}
        for index, name in enumerate(names):
            if isinstance(name, str) and (message := _bad_control(name, treatment, outcome, table, late)):
                yield ColumnProblem((role, index), "bad-control", message, hint="remove it", take_out=len(names) > 1)


def _bad_control(name: str, treatment: Any, outcome: Any, table: Any, late: Any) -> str | None:
    """Return why a column cannot be adjusted for, or None."""
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


_DATA = "steps:\n  data: {uses: dataset.hcp}\n"
_ASK = (
    _DATA + '  effect:\n    uses: causal.estimate\n    with:\n      table: "${{ steps.data.journeys }}"\n'
    "      treatment: treatment\n      outcome: outcome\n"
)
_IV = _ASK.replace("estimate", "iv") + "      instruments: [call_frequency]\n      graph: "
CODES = (
    Code(
        "bad-graph",
        "A causal graph that cannot be used",
        "A line is no chain of arrows, the arrows go round, a name is no column, or a name of the question is missing.",
        "Correct the line. List names that are not measured in `unmeasured`.",
        _ASK + "      graph: [treatment -> outcome -> treatment]\n",
        _ASK + "      graph: [treatment -> outcome, treatment <- region -> outcome]\n",
    ),
    Code(
        "bad-instrument",
        "An instrument that the causal graph does not allow",
        "An instrument changes the treatment, and the outcome in no other way. By the graph, it does not.",
        "Use an instrument that the hint names, adjust for the columns on the path, or correct the graph.",
        _IV + "[call_frequency -> treatment -> outcome, call_frequency -> outcome]\n",
        _IV + "[call_frequency -> treatment -> outcome, treatment <-> outcome]\n",
    ),
    Code(
        "not-a-number",
        "A column where a number is needed",
        "The column is text or a time, and its role in a design is that of a number.",
        "Name a column of numbers, or make one with table.derive.",
        _IV.replace("outcome: outcome", "outcome: region") + "[]\n",
        _IV + "[]\n",
    ),
    Code(
        "open-path",
        "A path that adjusting leaves open",
        "By the causal graph, treatment and outcome are related in another way than by the effect, and what is "
        "adjusted for does not close that path.",
        "Adjust for the columns that the hint names, measure one on the path, or use another design.",
        _ASK + "      graph: [treatment -> outcome, treatment <- region -> outcome, brand -> outcome]\n"
        "      confounders: [brand]\n",
        _ASK + "      graph: [treatment -> outcome, treatment <- region -> outcome, brand -> outcome]\n"
        "      confounders: [region]\n",
    ),
    Code(
        "bad-control",
        "A column that must not be adjusted for",
        "A confounder is a cause of the treatment and of the outcome. The treatment, the outcome, what is computed "
        "from them and what becomes known only after the treatment are none: adjusting for them hides an "
        "effect or invents one.",
        "Remove the column from `confounders` or `effect_modifiers`. If it is known before the treatment is decided, "
        "name the moment in `decided_at`.",
        _DATA + '  effect:\n    uses: causal.estimate\n    with: {table: "${{ steps.data.journeys }}", treatment: '
        "treatment, outcome: outcome, confounders: [outcome, region]}\n",
        _DATA + '  effect:\n    uses: causal.estimate\n    with: {table: "${{ steps.data.journeys }}", treatment: '
        "treatment, outcome: outcome, confounders: [specialty, region]}\n",
    ),
)
