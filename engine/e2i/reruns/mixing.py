"""Mix two runs: for each factor, the data, code, parameters or seed of one of them.

In: two recorded runs. Out: the factors that differ with what differs in them, and the spec of a mix. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from e2i.documents import JsonObject, OutputValues, ParamValues
from e2i.planning import fingerprint
from e2i.planning.build import SEED_PARAMETER
from e2i.planning.inputs import Components
from e2i.spec import expressions
from e2i.workspace.source import Source

Factor = Literal["data", "code", "parameters", "seed"]
FACTORS: tuple[Factor, ...] = ("data", "code", "parameters", "seed")
CODE_FILES = (".py", ".sql", ".yaml", ".yml", ".json")
"""Endings of files that are code or settings of steps. All other files are data."""
MEANT = ("steps", "finally", "defaults", "outputs")
"""The keys of a spec that decide what runs. Its parameters have values of their own in a run."""


class Side(Struct, frozen=True):
    """What a run was made of."""

    data: JsonObject
    """Its spec."""
    source: Source
    params: ParamValues
    components: Mapping[str, Components]
    """The inputs of each step's result, by step."""
    outputs: Mapping[str, OutputValues]

    @property
    def files(self) -> dict[str, str | None]:
        """The digests of the files that its steps read."""
        found: dict[str, str | None] = {}
        for parts in self.components.values():
            found.update(fingerprint.files(parts))
        return found


class Mix(Struct, frozen=True):
    """Two runs, and which of their factors are those of the second."""

    before: Side
    after: Side

    def side(self, factor: Factor, second: frozenset[Factor]) -> Side:
        return self.after if factor in second else self.before

    def spec(self, second: frozenset[Factor]) -> JsonObject:
        """Returns the spec with the steps of the code's run and the literal values of the parameters' run."""
        return literals(self.side("code", second).data, self.side("parameters", second).data)

    def params(self, second: frozenset[Factor]) -> ParamValues:
        """Returns the parameters that the spec of the mix declares."""
        declared = self.side("code", second).data.get("params") or {}
        found = {name: value for name, value in self.side("parameters", second).params.items() if name in declared}
        seed = self.side("seed", second).params.get(SEED_PARAMETER)
        if SEED_PARAMETER in declared and seed is not None:
            found[SEED_PARAMETER] = seed
        return ParamValues(found)

    def file(self, name: str, second: frozenset[Factor]) -> str | None:
        """Returns the digest that a file must have in the mix; None: it was not there."""
        factor: Factor = "code" if name.endswith(CODE_FILES) else "data"
        own = self.side(factor, second).files
        return own[name] if name in own else (self.after.files | self.before.files).get(name)

    def differences(self) -> dict[Factor, list[str]]:
        """Returns what differs, by factor, for people. A factor without differences is left out."""
        found: dict[Factor, list[str]] = {"data": [], "code": [], "parameters": [], "seed": []}
        old, new = self.before, self.after
        for name in sorted(old.files.keys() & new.files.keys()):
            if old.files[name] != new.files[name]:
                found["code" if name.endswith(CODE_FILES) else "data"].append(name)
        found["data"] += [f"the result of {name}" for name in self.sources if name not in found["data"]]
        both = literals(old.data, new.data)
        if _meaning(both) != _meaning(new.data) or old.source.included != new.source.included:
            found["code"].append("the spec")
        found["parameters"] += fingerprint.changes(_meaning(old.data), _meaning(both))
        for name in sorted(old.params.keys() & new.params.keys()):
            if old.params[name] != new.params[name]:
                factor: Factor = "seed" if name == SEED_PARAMETER else "parameters"
                found[factor] += fingerprint.changes({name: old.params[name]}, {name: new.params[name]})
        return {factor: changes for factor, changes in found.items() if changes}

    @property
    def sources(self) -> list[str]:
        """The steps with other results in both runs from equal inputs: what they read has changed."""
        return [
            name
            for name in self.before.outputs.keys() & self.after.outputs.keys()
            if self.before.outputs[name] != self.after.outputs[name]
            and name in self.before.components
            and name in self.after.components
            and _same(self.before.components[name], self.after.components[name])
        ]


def reads_data(name: str, mix: Mix) -> bool:
    """Returns whether the two results of a step come from equal code and parameters, whatever the data files were."""
    found = [side.components.get(name) for side in (mix.before, mix.after)]
    if found[0] is None or found[1] is None or not {*mix.before.outputs} & {*mix.after.outputs} & {name}:
        return False
    return _same(*(_without_data(parts) for parts in found if parts is not None))


def _without_data(parts: Components) -> Components:
    files = {name: digest for name, digest in parts.files.items() if name.endswith(CODE_FILES)}
    return replace(parts, files=files)


def _same(old: Components, new: Components) -> bool:
    """Returns whether two results come from equal code, parameters and files."""
    return fingerprint.fingerprint(old) == fingerprint.fingerprint(new)


def _meaning(data: JsonObject) -> JsonObject:
    return {key: data[key] for key in MEANT if key in data}


def literals(code: JsonObject, values: JsonObject) -> JsonObject:
    """Returns a spec with the literal values of ``with`` from another one, in steps of the same action."""
    steps = {
        name: {**step, "with": _literal(step["with"], other["with"])}
        if isinstance(other := (values.get("steps") or {}).get(name), dict)
        and other.get("uses") == step.get("uses")
        and isinstance(step.get("with"), dict)
        and isinstance(other.get("with"), dict)
        else step
        for name, step in code["steps"].items()
    }
    return {**code, "steps": steps}


def _literal(code: Any, values: Any) -> Any:
    if isinstance(code, dict) and isinstance(values, dict):
        return {key: _literal(item, values[key]) if key in values else item for key, item in code.items()}
    return values if _is_literal(code) and _is_literal(values) else code


def _is_literal(value: Any) -> bool:
    """Returns whether a value is a parameter: a number, a name, a list of them; no expression, and no program text."""
    match value:
        case list():
            return all(map(_is_literal, value))
        case str():
            return "\n" not in value and " " not in value.strip() and not expressions.has_expression(value)
        case bool() | int() | float():
            return True
    return False
