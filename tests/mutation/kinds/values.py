"""Wrong values: of the wrong type, out of range, of no choice, formulas that cannot work. In: good specs. Out: mutants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

from e2i.catalog.action import Action
from mutation.good import Good
from mutation.mutant import Mutants, mutant
from mutation.sites import Site
from mutation.slips import slip


def choice(good: Good, rng: Random) -> Mutants:
    """A slip in a word that an action's parameter takes: ``strategy: entiy``."""
    for site, schema in _literals(good):
        words = [word for word in schema.get("enum", ()) if isinstance(word, str)]
        name = good.value(site.path)
        typed = slip(name, words, rng) if name in words else None
        if typed and not site.style:
            edit = (site.start, site.end, typed[0])
            yield mutant(good, [edit], (site.start, site.start), codes="bad-action-parameter", certain=typed[1])


def other_choice(good: Good, rng: Random) -> Mutants:
    """A word that an action's parameter does not take."""
    for site, schema in _literals(good):
        if "enum" in schema:
            edit = (site.start, site.end, rng.choice(("whatever", "best", "auto")))
            yield mutant(good, [edit], (site.start, site.start), codes="bad-action-parameter")


def quoted_number(good: Good, rng: Random) -> Mutants:
    """A number in quotes."""
    for site, schema in _literals(good):
        if schema.get("type") in ("integer", "number"):
            edit = (site.start, site.end, f'"{good.raw(site)}"')
            yield mutant(good, [edit], (site.start, site.start), codes="bad-action-parameter", certain=True)


def text_for_number(good: Good, rng: Random) -> Mutants:
    """Words where a number belongs."""
    for site, schema in _literals(good):
        if schema.get("type") in ("integer", "number"):
            edit = (site.start, site.end, rng.choice(("many", "[1]", "{a: 1}", "true")))
            yield mutant(good, [edit], (site.start, site.start), codes="bad-action-parameter")


def word_for_boolean(good: Good, rng: Random) -> Mutants:
    """``yes`` for ``true``, as in YAML 1.1: of an action, or of the language."""
    for site, schema in _literals(good):
        if schema.get("type") == "boolean":
            yield from _worded(good, site, rng, "bad-action-parameter")
    for site in (*good.matching("steps", "*", "cache"), *good.matching("params", "*", "default")):
        if isinstance(good.value(site.path), bool):
            yield from _worded(good, site, rng, "bad-value bad-parameter")


def one_for_list(good: Good, rng: Random) -> Mutants:
    """One value where a list of them belongs."""
    for site, schema in _given(good):
        items = good.value(site.path)
        if schema.get("type") == "array" and isinstance(items, list) and len(items) > 0 and isinstance(items[0], str):
            yield from _alone(good, site, "bad-action-parameter")
    for site in (*good.matching("steps", "*", "needs"), *good.matching("steps", "*", "tags")):
        yield from _alone(good, site, "bad-value")


def out_of_range(good: Good, rng: Random) -> Mutants:
    """A number beyond what an action's parameter takes."""
    for site, schema in _literals(good):
        if schema.get("type") in ("integer", "number"):
            for text in _beyond(schema):
                yield mutant(
                    good, [(site.start, site.end, text)], (site.start, site.start), codes="bad-action-parameter"
                )


def option_out_of_range(good: Good, rng: Random) -> Mutants:
    """A number beyond what an option takes."""
    for key, texts in {"attempts": ("0", "-1", "101"), "threads": ("0", "1025")}.items():
        for path, site in good.sites.items():
            if path and path[-1] == key:
                for text in texts:
                    yield mutant(good, [(site.start, site.end, text)], (site.start, site.start), codes="bad-value")


def default(good: Good, rng: Random) -> Mutants:
    """A parameter's default that is not of its type, out of its range, or no choice."""
    for site in good.matching("params", "*", "default"):
        declared = good.value(site.path[:-1])
        wrong = [_OF_OTHER_TYPE[declared["type"]]] if declared["type"] in _OF_OTHER_TYPE else []
        if declared["type"] in ("integer", "number"):
            wrong += [str(declared["min"] - 1)] if "min" in declared else []
            wrong += [str(declared["max"] + 1)] if "max" in declared else []
        if "choices" in declared or "pattern" in declared:
            wrong.append("Whatever1")
        for text in wrong:
            yield mutant(good, [(site.start, site.end, text)], (site.start, site.start), codes="bad-parameter")


def contradicting_parameter(good: Good, rng: Random) -> Mutants:
    """A parameter whose declaration cannot hold."""
    for site in good.matching("params", "*", "max"):
        least = good.value(site.path[:-1]).get("min")
        if least is not None:
            edit = (site.start, site.end, str(least - 1))
            around = good.sites[site.path[:-1]]
            yield mutant(good, [edit], (around.start, around.end), codes="bad-parameter")
    for site in good.matching("params", "*", "choices"):
        yield mutant(good, [(site.start, site.end, "[1, 2]")], (site.start, site.end), codes="bad-parameter")


def fractions(good: Good, rng: Random) -> Mutants:
    """Parts that are not the whole, or are nothing."""
    for site in good.matching("steps", "*", "with", "fractions", "*"):
        around = good.sites[site.path[:-1]]
        for text in ("0.9", "1.5", "-0.1"):
            edit = (site.start, site.end, text)
            yield mutant(good, [edit], (around.start, around.end), codes="bad-action-parameter")


def when(good: Good, rng: Random) -> Mutants:
    """A condition that is no condition."""
    for path in good.steps.values():
        site = good.sites[path]
        above = [name for name in good.reads(str(path[1])) if good.action(name)]
        texts = ["3", '"maybe"', "[true]", "1.5"]
        texts += [
            f'"${{{{ steps.{name}.{output} }}}}"' for name in sorted(above) for output in _not_boolean(good, name)
        ]
        if not site.flow and site.key and "when" not in good.value(path) and good.data.get("params") != {}:
            text = rng.choice(texts)
            indent = " " * (site.start - good.text.rfind("\n", 0, site.start) - 1)
            found = mutant(
                good,
                [(site.start, site.start, f"when: {text}\n{indent}")],
                codes="bad-condition bad-value matrix-as-one",
            )
            value = site.start + len("when: ")
            # A text in quotes is shown by its own place.
            yield replace(found, spans=((value, value + len(text)),))


def reference(good: Good, rng: Random) -> Mutants:
    """A reference to something of another type than the parameter takes."""
    for name, path in good.steps.items():
        declared = good.action(name)
        for site in good.matching(*path, "with", "*") if declared else ():
            wanted = _type_of(declared, str(site.path[-1])) if declared else None
            if wanted is None or "${{" not in str(good.value(site.path)) or site.kind != "scalar":
                continue
            above = sorted(other for other in good.upstream(name) if good.action(other))
            others = [
                f"steps.{other}.{output}"
                for other in above
                for output, given in _outputs(good, other)
                if given != wanted
            ]
            if others:
                chosen = f'"${{{{ {rng.choice(others)} }}}}"'
                codes = "wrong-type matrix-as-one"
                yield mutant(good, [(site.start, site.end, chosen)], (site.start, site.end), codes=codes)


def formula(good: Good, rng: Random) -> Mutants:
    """A computation with what cannot be computed with."""
    for ref in good.references:
        raw = good.raw(ref.site)
        if ref.root[0] != "steps" or len(ref.parts) != 2 or not good.action(ref.parts[0][0]):
            continue
        if dict(_outputs(good, ref.parts[0][0])).get(ref.parts[1][0]) in _ARTIFACTS and raw.count("}}") == 1:
            at = ref.site.start + raw.index(" }}")
            new = rng.choice((" + 1", " * 2", " | upper", " | round", " > 3", " | sum"))
            yield mutant(good, [(at, at, new)], ref.whole, codes="wrong-type bad-condition")


def call(good: Good, rng: Random) -> Mutants:
    """What is no expression: a call, a statement, nothing."""
    for ref in good.references:
        raw = good.raw(ref.site)
        if raw.count("${{") == 1:
            start, end = ref.site.start + raw.index("${{") + 3, ref.site.start + raw.index("}}")
            new = rng.choice((" open('x') ", " steps.items() ", " ", " 1 + ", " a b ", " [x for x in y] ", " ''.join "))
            yield mutant(good, [(start, end, new)], ref.whole, codes="bad-expression yaml-syntax wrong-type bad-matrix")


def _worded(good: Good, site: Site, rng: Random, codes: str) -> Mutants:
    word, meant = rng.choice((("yes", "true"), ("no", "false"), ("on", "true"), ("off", "false"), ('"true"', "true")))
    edit, wanted = (site.start, site.end, word), (site.start, site.end, meant)
    yield mutant(good, [edit], (site.start, site.start), codes=codes, certain=True, wanted=[wanted])


def _alone(good: Good, site: Site, codes: str) -> Mutants:
    """The first item in place of the list; when there are others, the mend is to bring them back, which is not certain."""
    first = good.sites[(*site.path, 0)]
    edit = (site.start, site.end, good.raw(first))
    is_all = (*site.path, 1) not in good.sites
    yield mutant(good, [edit], (site.start, site.start), codes=codes, certain=is_all)


def _literals(good: Good) -> Iterator[tuple[Site, dict[str, Any]]]:
    """The plain values given to actions, with the JSON schema of what they may be."""
    for site, schema in _given(good):
        if site.kind == "scalar" and "${{" not in good.raw(site):
            yield site, schema


def _given(good: Good) -> Iterator[tuple[Site, dict[str, Any]]]:
    for name, path in good.steps.items():
        declared = good.action(name)
        if declared is None:
            continue
        properties = _schema(declared)
        for site in good.matching(*path, "with", "*"):
            schema = properties.get(str(site.path[-1]), {})
            options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
            if len(options) == 1:
                yield site, {**schema, **options[0]}


@cache
def _schema(action: Action) -> dict[str, Any]:
    properties: dict[str, Any] = action.params.model_json_schema()["properties"]
    return properties


def _beyond(schema: dict[str, Any]) -> Iterator[str]:
    if "minimum" in schema or "exclusiveMinimum" in schema:
        yield str(schema.get("minimum", schema.get("exclusiveMinimum", 1)) - 1)
    if "maximum" in schema or "exclusiveMaximum" in schema:
        yield str(schema.get("maximum", schema.get("exclusiveMaximum", 0)) + 1)


def _type_of(action: Action, name: str) -> str | None:
    field = action.params.model_fields.get(name)
    found = getattr(field.annotation, "__name__", None) if field else None
    return found if found in _ARTIFACTS else None


def _outputs(good: Good, step: str) -> list[tuple[str, str]]:
    declared = good.action(step)
    assert declared is not None
    fields = declared.outputs.model_fields.items()
    return [(name, getattr(field.annotation, "__name__", "")) for name, field in fields if field.annotation is not Any]


def _not_boolean(good: Good, step: str) -> list[str]:
    return [name for name, given in _outputs(good, step) if given in _ARTIFACTS]


_ARTIFACTS = ("Table", "Model", "FeatureRepo", "Study", "Report", "Bento", "Service", "ModelVersion")
_OF_OTHER_TYPE = {
    "integer": "[1]",
    "number": "[1]",
    "boolean": "7",
    "list": "{a: 1}",
    "mapping": "[1]",
    "string": "[a]",
    "date": "2024-13-01",
    "path": "../x.csv",
}
