"""Compute on-demand features. In: the code of a function, values of its inputs. Out: its features, in their types.

The code is part of a version's definition, where ``feast.apply`` put it under the policy of the operator
(``run_python``). Feast's registry has no code of e2i: a pickled function would run wherever the registry is read.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from e2i.errors import StepError
from e2i.tools.feast.definitions import Definition, OnDemand

if TYPE_CHECKING:
    import pandas as pd

Names = Mapping[tuple[str, str], str]


class Request(Struct, frozen=True):
    """What is asked for. ``names``: (view, feature) → label. ``stored``: the same of what has rows, asked or needed.

    ``computed`` are the on-demand views among it.
    """

    names: Names
    stored: Names
    computed: tuple[OnDemand, ...]

    @property
    def columns(self) -> dict[str, str]:
        """Return the columns that functions need of the rows that features are asked for, and their types."""
        return {name: kind for view in self.computed for name, kind in view.request.items()}


def request(definition: Definition, names: Names) -> Request:
    """Return what is needed for the features that are asked for."""
    asked = dict.fromkeys(view for view, _ in names)
    computed = tuple(view for name in asked if (view := definition.computed(name)) is not None)
    if not computed:
        return Request(names, names, ())
    needed = [reference.partition(":") for view in computed for reference in view.inputs]
    plain = [key for key in names if definition.computed(key[0]) is None]
    stored = {(view, feature): f"{view}__{feature}" for view, feature in [*plain, *((a, b) for a, _, b in needed)]}
    return Request(names, stored, computed)


def finished(asked: Request, values: pd.DataFrame, given: pd.DataFrame) -> pd.DataFrame:
    """Return the features by their labels. ``values`` has the stored ones, ``given`` the columns of the request.

    Both have the same rows. Raises StepError for a function that fails, or returns something else.
    """
    if not asked.computed:
        return values
    import pandas as pd

    results = {view.name: _compute(view, asked, values, given) for view in asked.computed}
    columns = {
        label: results[view][feature] if view in results else values[asked.stored[view, feature]]
        for (view, feature), label in asked.names.items()
    }
    return pd.DataFrame(columns, index=values.index)


def load(file: str, function: str, code: bytes) -> Callable[[Any], Any]:
    """Return a function of a file, from its text. Raises StepError."""
    module = types.ModuleType(f"e2i_on_demand_{file.removesuffix('.py').replace('/', '_').replace('.', '_')}")
    module.__file__ = file
    try:
        exec(compile(code, file, "exec"), module.__dict__)
    except Exception as error:  # the boundary to the user's own code
        hint = "it can import installed libraries only" if isinstance(error, ImportError) else None
        raise StepError(f"{file} raised {type(error).__name__}: {error}", code="user-code-failed", hint=hint) from error
    found = module.__dict__.get(function)
    if not callable(found):
        raise StepError(f"{file} has no function {function!r}", code="no-such-function")
    result: Callable[[Any], Any] = found
    return result


def _compute(view: OnDemand, asked: Request, values: pd.DataFrame, given: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    from e2i.tools.feast import casting
    from e2i.tools.feast.offline import exact_frame

    inputs: dict[str, Any] = {}
    for reference in view.inputs:
        owner, _, feature = reference.partition(":")
        inputs[feature] = values[asked.stored[owner, feature]].to_numpy()
    for name in view.request:
        inputs[name] = given[name].to_numpy()
    function = load(view.file, view.function, view.code.encode())
    what = f"{view.function} in {view.file}, of on-demand view {view.name},"
    try:
        result = function(pd.DataFrame(inputs, index=pd.RangeIndex(len(values))))
    except Exception as error:  # the boundary to the user's own code
        raise StepError(f"{what} raised {type(error).__name__}: {error}", code="user-code-failed") from error
    frame = _frame(result, tuple(view.features), len(values), what)
    typed = exact_frame(casting.exact(frame, view.features, ()))
    return typed.set_axis(values.index)


def _frame(result: Any, features: Sequence[str], rows: int, what: str) -> pd.DataFrame:
    """Return the result as a frame. Raises StepError when it has other rows, or not all features."""
    import pandas as pd

    hint = "return a pandas frame with one row for each input row, in their order"
    try:
        frame = result if isinstance(result, pd.DataFrame) else pd.DataFrame(result)
    except (ValueError, TypeError) as error:
        raise StepError(f"{what} returned {type(result).__name__}: {error}", code="bad-result", hint=hint) from error
    if len(frame) != rows:
        raise StepError(f"{what} returned {len(frame)} rows for {rows}", code="bad-result", hint=hint)
    missing = [name for name in features if name not in frame.columns]
    if missing:
        raise StepError(f"{what} returned no column {missing[0]!r}", code="bad-result", hint=hint)
    return frame.reset_index(drop=True)
