"""Follow a recipe through the columns of a table while planning. In: known operations and types. Out: problems.

Predicts what ``preparation.fit`` will do, as far as names and types allow. Values are known only in the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from msgspec import Struct, convert, field

from e2i.catalog.columns import UNKNOWN, ColumnProblem, KnownRecipe, KnownTable, is_time, settled
from e2i.estimators.recipe_operations import KINDS, MOST_COLUMNS
from e2i.spec.suggest import few

UNITS = {"number": "a number", "text": "a string", "time": "a time"}
NUMBERS = ("bool", "int", "uint", "float", "double", "halffloat", "decimal")
ENCODED = ("bin", "ordinal", "count_encode", "log", "scale", "clip")
"""Operations that make one number column of each of theirs."""
PARTS = ("year", "month", "day", "weekday")


Place = tuple[str | int, ...]


class Columns(Struct):
    """The columns after some operations: name → kind, None where it is not known.

    ``replaced`` are columns of whose values others were made, NAME_VALUE. Those in ``kept`` may still be there.
    ``is_open``: nothing is known.
    """

    kinds: dict[str, str | None]
    replaced: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    is_open: bool = False
    problems: list[ColumnProblem] = field(default_factory=list)
    origin: str = ""
    """The id of the step of the recipe."""

    def note(self, code: str, message: str, place: Place = (), hint: str | None = None) -> None:
        """Note a problem at a place in the steps of the recipe; without its step, at the parameter ``prepare``."""
        path = ("steps", *place) if self.origin else ("prepare",)
        self.problems.append(ColumnProblem(path, code, message, hint=hint, of=self.origin))

    def may_have(self, name: str) -> bool:
        """Return True when there may be a column of that name besides the known ones."""
        return self.is_open or name in self.kept or any(name.startswith(f"{made}_") for made in self.replaced)


class Operation(Struct, frozen=True):
    """One operation of a recipe, as far as it says which columns there are after it."""

    op: str
    columns: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    number: int = 0
    """Its place in the recipe, from 0."""
    strategy: str = "median"
    indicator: bool = False
    parts: tuple[str, ...] = PARTS
    cyclic: bool = False


def kind_of(arrow: str | None) -> str | None:
    """Return the kind of a column by its Arrow type; None when it is not known, or is none of them."""
    if arrow is None:
        return None
    if is_time(arrow):
        return "time"
    if arrow.startswith(NUMBERS):
        return "number"
    return "text" if "string" in arrow else None


def check(recipe: Any, rows: Any, features: tuple[str, ...] | None, target: Any, task: str | None) -> Columns:
    """Return the columns that a recipe makes of the features of a table, and its problems at the recipe's step."""
    if not isinstance(rows, KnownTable) or features is None:
        return Columns({}, is_open=True)
    found = Columns({name: kind_of(rows.columns.get(name)) for name in features if name in rows.columns})
    if not isinstance(recipe, KnownRecipe):
        found.is_open = True
        return found
    found.origin = recipe.origin
    for number, step in enumerate(recipe.steps):
        if not isinstance(step, Mapping) or not settled(step) or step.get("op") not in KINDS:
            return Columns({}, is_open=True, problems=found.problems)
        operation = convert({**step, "number": number}, Operation)
        about = f"step {number + 1} of the recipe, {operation.op}"
        _apply(found, operation, list(_chosen(found, operation, about, rows, target)), task)
    if times := [name for name, kind in found.kinds.items() if kind == "time"]:
        message = f"times cannot be features: {few(times)}"
        hint = "take their parts by the operation dates, or leave them out"
        found.problems.append(ColumnProblem(("prepare",), "bad-feature", message, hint=hint))
    return found


def takes_times(recipe: Any) -> bool:
    """Return True when the features of a model with this recipe may be times."""
    return recipe is UNKNOWN or isinstance(recipe, KnownRecipe)


def _chosen(found: Columns, step: Operation, about: str, rows: KnownTable, target: Any) -> Iterator[str]:
    """Yield the columns of an operation, after noting the names that are none and those of a wrong type."""
    able = KINDS[step.op]
    if step.op == "impute" and step.strategy in ("median", "mean"):
        able = ("number",)
    if step.columns is None:
        yield from [name for name, kind in found.kinds.items() if kind in (step.types or able)]
        return
    for place, name in enumerate(step.columns):
        at = (step.number, "columns", place)
        if name == target:
            message = f'{about}: "{name}" is the target, which a recipe must not use as a feature'
            found.note("target-leak", message, at)
        elif name not in found.kinds:
            if not found.may_have(name):
                _note_absent(found, name, about, rows, at)
        elif (kind := found.kinds[name]) is not None and kind not in able:
            wanted = " or ".join(UNITS[one] for one in able)
            message = f'{about}: "{name}" is {UNITS[kind]}, not {wanted}'
            hint = _others(found, able) if kind != "text" else _hint_of_text(found, step, able)
            found.note("bad-column", message, at, hint)
        else:
            yield name


def _note_absent(found: Columns, name: str, about: str, rows: KnownTable, at: Place) -> None:
    """Note a column that no step before has made. A column of the table may have been replaced, or is no feature."""
    if name in rows.columns:
        why = f'{about}: the column "{name}" is not a feature, or an earlier step has replaced it'
    else:
        why = f'{about}: there is no column "{name}"'
    listed = f"columns at this step: {few(sorted(found.kinds))}"
    found.note("unknown-column", why, at, listed)


def _others(found: Columns, able: tuple[str, ...]) -> str | None:
    names = [name for name, kind in found.kinds.items() if kind in able]
    return f"columns of that type: {few(names)}" if names else None


def _hint_of_text(found: Columns, step: Operation, able: tuple[str, ...]) -> str | None:
    """Return what to do with a text in an operation of other columns."""
    if step.op == "dates":
        return "add it to `parse_dates` of data.load"
    if step.op == "impute":
        return "texts have no median and no mean: use strategy mode or constant"
    return _others(found, able)


def _apply(found: Columns, step: Operation, names: list[str], task: str | None) -> None:
    """Change the columns as the operation does."""
    op = step.op
    if op == "impute" and step.indicator:
        found.kinds |= dict.fromkeys((f"{name}_missing" for name in names), "number")
    elif op in ENCODED or (op == "target_encode" and task in ("regression", "ranking")):
        found.kinds |= dict.fromkeys(names, "number")
    elif op == "interact" and (made := len(names) * (len(names) - 1) // 2) > MOST_COLUMNS:
        message = f"the products of {len(names):,} columns are {made:,} columns, more than {MOST_COLUMNS:,}"
        found.note("bad-column", message, (step.number,), "list fewer `columns`")
    elif op == "interact":
        found.kinds |= dict.fromkeys((f"{one}_x_{other}" for one, other in combinations(names, 2)), "number")
    elif op == "dates":
        for name in names:
            found.kinds.pop(name)
            found.kinds |= dict.fromkeys((f"{name}_{part}" for part in step.parts), "number")
        found.replaced |= set(names) if step.cyclic else set()
    elif op not in ("impute", "drop_constant", "select"):  # the new columns depend on the values
        found.replaced |= set(names)
        found.kept |= set(names) if op == "target_encode" else set()  # NAME for two classes, NAME_CLASS for more
        found.kinds = {name: kind for name, kind in found.kinds.items() if name not in names}
