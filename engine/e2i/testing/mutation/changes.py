"""One change of a spec, as data. In: the spec's data and a ``Change``. Out: the data of the mutant."""

from __future__ import annotations

from typing import Any, Literal, get_args

from msgspec import Struct

from e2i.documents import JsonObject

Kind = Literal[
    "hyperparameter",
    "number",
    "choice",
    "column",
    "condition",
    "expression",
    "reference",
    "dropped-parameter",
    "dropped-step",
    "default",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
Keys = tuple[str | int, ...]


class Change(Struct, frozen=True):
    """A value of the spec at ``path`` that becomes ``after``, or is left out with ``drop``.

    ``step``: the id of the step as written; empty for a parameter of the spec.
    """

    kind: Kind
    path: Keys
    step: str
    before: Any
    after: Any = None
    drop: bool = False

    @property
    def name(self) -> str:
        """The value that changes, for people: ``train.params.max_depth``."""
        keys = self.path[1:] if self.path[0] in ("steps", "params") else self.path
        keys = tuple(key for index, key in enumerate(keys) if not (index == 1 and key == "with"))
        return ".".join(map(str, keys))


def mutated(data: JsonObject, change: Change) -> JsonObject:
    """Returns a copy of the data with the change. Other steps no longer need a step that is left out."""
    copy: JsonObject = _copied(data)
    holder: Any = copy
    for key in change.path[:-1]:
        holder = holder[key]
    if not change.drop:
        holder[change.path[-1]] = _copied(change.after)
        return copy
    del holder[change.path[-1]]
    if change.kind == "dropped-step":
        for step in copy["steps"].values():
            if isinstance(needs := step.get("needs"), list) and change.step in needs:
                step["needs"] = [name for name in needs if name != change.step]
    return copy


def _copied(value: Any) -> Any:
    """Returns a copy in which values that an alias shares are apart."""
    match value:
        case dict():
            return {key: _copied(item) for key, item in value.items()}
        case list() | tuple():
            return [_copied(item) for item in value]
    return value
