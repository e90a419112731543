"""Read the algorithms that plug-ins and settings add. In: declarations. Out: named algorithms, or the error of one.

A plug-in trains; the model that it returns is a file of a library that ``scoring`` reads. So a saved model is loaded,
explained, registered and served without the plug-in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from msgspec.structs import replace
from pydantic import TypeAdapter, ValidationError

from e2i.catalog.extensible import Named, Preset
from e2i.catalog.presets import NAME
from e2i.errors import InvalidSpec
from e2i.estimators.algorithm import Algorithm, Encoding, Explainer, Family, Flavour, Precision, Task
from e2i.estimators.algorithms import ALGORITHMS
from e2i.estimators.space import Dimension
from e2i.spec import suggest
from e2i.spec.problems import Location, Problem

if TYPE_CHECKING:
    from e2i.catalog.plugins import Provided

_SPACE: TypeAdapter[dict[str, Dimension]] = TypeAdapter(dict[str, Dimension])
_CHOICES = (("family", Family), ("flavour", Flavour), ("encoding", Encoding), ("precision", Precision))


class BadPreset(InvalidSpec):
    """An algorithm of the settings that cannot be used. The error is at the setting."""

    def __init__(self, message: str, where: Location, hint: str | None) -> None:
        super().__init__([Problem("bad-settings", message, where, "/algorithms", hint)])
        self.args = (f"{where}: {message}",)
        self.message = self.args[0]
        self.code, self.hint = "bad-settings", hint


def load(provided: Sequence[Provided], presets: Mapping[str, Preset]) -> Mapping[str, Named]:
    """Return the algorithms of plug-ins and presets, by name. Raises InvalidSpec at the setting of a wrong one."""
    found: dict[str, Named] = {}
    for one in provided:
        if not isinstance(one.value, Mapping):
            raise one.wrong(f"declares its algorithms as a {type(one.value).__name__}, not a mapping")
        for name, algorithm in one.value.items():
            if wrong := _wrong(name, algorithm, found):
                raise one.wrong(wrong)
            found[name] = Named(name, algorithm, one.distribution)
    plugins = dict(found)
    for name, preset in presets.items():
        if name in ALGORITHMS or name in found:
            raise _bad(name, preset, f'"{name}" is the name of another algorithm', "choose another name")
        found[name] = _preset(name, preset, plugins)
    return found


def _wrong(name: Any, algorithm: Any, before: Collection[str]) -> str | None:
    """Return what is wrong with an algorithm of a plug-in, or None."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return f"declares an algorithm {name!r}, which is not a name of letters, digits and _"
    if name in ALGORITHMS or name in before:
        return f'declares the algorithm "{name}", which is the name of another one'
    if not isinstance(algorithm, Algorithm):
        return f'declares "{name}" as a {type(algorithm).__name__}, not an Algorithm'
    for field, choices in _CHOICES:
        if (value := getattr(algorithm, field)) not in get_args(choices):
            return f'declares "{name}" with {field} {value!r}; choose {" or ".join(map(repr, get_args(choices)))}'
    if algorithm.explainer not in (None, *get_args(get_args(Explainer)[0])):
        return f'declares "{name}" with explainer {algorithm.explainer!r}; choose "tree", "linear" or None'
    if not algorithm.tasks or not set(algorithm.tasks) <= {*get_args(Task)} & {*algorithm.estimator.classes}:
        return f'declares "{name}" with tasks for which its estimator has no class'
    if strange := sorted(set(algorithm.space) - algorithm.params):
        return f'declares "{name}" with a search space of unknown hyperparameters: {", ".join(strange)}'
    return None


def _preset(name: str, preset: Preset, plugins: Mapping[str, Named]) -> Named:
    base = plugins.get(preset.of)
    known = ALGORITHMS.get(preset.of) if base is None else base.about
    if known is None:
        names = (*ALGORITHMS, *plugins)
        raise _bad(name, preset, f'there is no algorithm "{preset.of}"', suggest.hint(preset.of, names, most=40))
    for key in (*preset.params, *(preset.space or ())):
        if key not in known.params:
            hint = suggest.hint(key, known.params, most=25)
            raise _bad(name, preset, f'{preset.of} has no hyperparameter "{key}"', hint)
    if both := sorted(set(preset.params) & set(preset.space or ())):
        raise _bad(name, preset, f'"{both[0]}" is in `params` and in `space`', "remove it from one of them")
    space = {key: item for key, item in known.space.items() if key not in preset.params}
    if preset.space is not None:
        try:
            space = _SPACE.validate_python(preset.space)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in detail["loc"])
            raise _bad(
                name, preset, f"space.{where}: {detail['msg']}", "write it as in `space` of optuna.tune"
            ) from error
    about = replace(known, space=space, preset=dict(preset.params), of=preset.of)
    return Named(name, about, None if base is None else base.distribution, preset.definition)


def _bad(name: str, preset: Preset, message: str, hint: str | None) -> BadPreset:
    return BadPreset(f"algorithms.{name}: {message}", preset.where, hint)
