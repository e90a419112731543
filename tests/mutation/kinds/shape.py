"""Mistakes in the shape of a spec: keys, versions, durations, what stands twice or not at all. In: good specs. Out: mutants."""

from __future__ import annotations

import itertools
from dataclasses import replace
from random import Random

from mutation.good import Good
from mutation.mutant import Mutants, mutant
from mutation.sites import Path, Site


def unknown_key(good: Good, rng: Random) -> Mutants:
    """A key that is no key of the language, at each level."""
    for path, site in good.sites.items():
        if site.kind == "mapping" and path and _is_ours(path):
            yield from _added(good, site, rng.choice(("colour", "zone", "priority")), "red", "unknown-key")
    yield mutant(good, [(0, 0, "owner: me\n")], (0, 0), codes="unknown-key")


def foreign_parameter(good: Good, rng: Random) -> Mutants:
    """A parameter that the action does not have."""
    for name, path in good.steps.items():
        site = good.sites.get((*path, "with"))
        if site and good.action(name):
            yield from _added(good, site, rng.choice(("colour", "zone", "priority")), "red", "unknown-action-parameter")


def missing_parameter(good: Good, rng: Random) -> Mutants:
    """A required parameter of an action that is not given."""
    for name, path in good.steps.items():
        declared = good.action(name)
        for site in good.matching(*path, "with", "*") if declared else ():
            field = declared.params.model_fields.get(str(site.path[-1])) if declared else None
            if field is not None and field.is_required() and (gone := _entry(good, site)):
                marks = [good.sites[path].key, good.sites[(*path, "with")].key]
                spans = [(mark[0], mark[0]) for mark in marks if mark]
                yield mutant(good, [(*gone, "")], *spans, codes="missing-action-parameter")


def missing_key(good: Good, rng: Random) -> Mutants:
    """A key that a spec or step cannot do without."""
    for site in (*good.matching("name"), *good.matching("steps", "*", "uses"), *good.matching("params", "*", "type")):
        if gone := _entry(good, site):
            around = good.sites[site.path[:-1]]
            start = around.key[0] if around.key else 0
            stop = start if around.key else gone[0] + 1
            yield mutant(good, [(*gone, "")], (start, stop), codes="missing-key")


def missing_version(good: Good, rng: Random) -> Mutants:
    """No version."""
    site = good.sites[("version",)]
    if gone := _entry(good, site):
        yield mutant(good, [(*gone, "")], (0, gone[0] + 1), codes="missing-key", certain=True)


def wrong_version(good: Good, rng: Random) -> Mutants:
    """A version that does not exist."""
    site = good.sites[("version",)]
    for text in ("2", "1.1", "one", "0"):
        yield mutant(good, [(site.start, site.end, text)], (site.start, site.start), codes="bad-value")


def version_as_text(good: Good, rng: Random) -> Mutants:
    """The right version, in quotes."""
    site = good.sites[("version",)]
    yield mutant(good, [(site.start, site.end, '"1"')], (site.start, site.start), codes="bad-value", certain=True)


def duplicated_key(good: Good, rng: Random) -> Mutants:
    """A key that stands twice, with two values."""
    yield from _twice(good, same=False)


def repeated_entry(good: Good, rng: Random) -> Mutants:
    """A whole entry that stands twice, as after a careless paste."""
    yield from _twice(good, same=True)


def duplicated_step(good: Good, rng: Random) -> Mutants:
    """Two steps of one id."""
    steps = list(good.data["steps"])
    for name, other in itertools.pairwise(steps):
        site = good.sites[("steps", other)]
        if site.key:
            yield mutant(good, [(*site.key, name)], (site.key[0], site.key[0]), codes="duplicate-key unknown-step")


def bad_duration(good: Good, rng: Random) -> Mutants:
    """Text or a number that is no duration."""
    yield from _durations(good, dict.fromkeys(("soon", "10", "1w", "-5s", "1h 90", "5m10h"), ""), certain=False)


def duration_in_words(good: Good, rng: Random) -> Mutants:
    """A duration as people say it."""
    texts = {"10 minutes": "10m", "2 hours": "2h", "30 sec": "30s", "1 day": "1d", "90 S": "90s"}
    yield from _durations(good, texts, certain=True)


def bad_name(good: Good, rng: Random) -> Mutants:
    """A step's id that is no name."""
    for name, path in good.steps.items():
        site = good.sites[path]
        if site.key:
            new = rng.choice((f"{name}-x", f"1{name}", f'"{name} x"', f"{name}.x"))
            yield mutant(good, [(*site.key, new)], (site.key[0], site.key[0]), codes="bad-name")


def nothing(good: Good, rng: Random) -> Mutants:
    """A step, or all of them, without content."""
    for _name, path in good.steps.items():
        site = good.sites[path]
        if site.key and not site.flow:
            start, end = site.key[1], site.end
            yield mutant(good, [(start, end, ":")], (site.key[0], site.key[1] + 1), codes="bad-value missing-key")


def number_for_mapping(good: Good, rng: Random) -> Mutants:
    """``retry: 3`` for ``retry: {attempts: 3}``."""
    for key, number in {"retry": "attempts", "resources": "threads"}.items():
        for site in (*good.matching("steps", "*", key), *good.matching("defaults", key)):
            if site.key:
                edit, wanted = (site.key[1], site.end, ": 3"), (site.key[1], site.end, f": {{{number}: 3}}")
                mark = (site.key[0], site.key[1] + 2)
                yield mutant(good, [edit], mark, codes="bad-value", certain=True, wanted=[wanted])


def _is_ours(path: Path) -> bool:
    """Whether a mapping of the language stands at a path, rather than one with free keys."""
    match path:
        case ("defaults",) | ("defaults", "retry") | ("params", _):
            return True
        case ("steps" | "finally", _) | ("steps" | "finally", _, "retry" | "resources"):
            return True
    return False


def _added(good: Good, site: Site, key: str, value: str, code: str) -> Mutants:
    """A new first entry in a mapping that is not empty."""
    at = site.start + 1 if site.flow else site.start
    if site.flow and good.text[site.start : site.start + 2] == "{}":
        return
    behind = ", " if site.flow else "\n" + " " * _column(good.text, at)
    yield mutant(good, [(at, at, f"{key}: {value}{behind}")], (at, at), codes=code)


def _twice(good: Good, *, same: bool) -> Mutants:
    for path, site in good.sites.items():
        if site.key and len(path) in (2, 3, 4) and site.kind == "scalar" and site.style != "|":
            entry = good.text[site.key[0] : site.end]
            if "\n" in entry:
                continue
            if not same:
                entry = f"{good.text[slice(*site.key)]}: other"
            between = ", " if site.flow else "\n" + " " * _column(good.text, site.key[0])
            at = site.end
            if not site.flow:  # behind a comment on the same line
                at = good.text.find("\n", site.end)
            start = at + len(between)
            found = mutant(good, [(at, at, between + entry)], (at, at), codes="duplicate-key", certain=same)
            yield replace(found, spans=((start, start),))


def _durations(good: Good, texts: dict[str, str], *, certain: bool) -> Mutants:
    options = [("steps", "*", "timeout"), ("defaults", "timeout")]
    options += [(*around, "retry", name) for around in (("steps", "*"), ("defaults",)) for name in ("initial", "max")]
    for pattern in options:
        for site in good.matching(*pattern):
            for text, meant in texts.items():
                edit, wanted = (site.start, site.end, text), [(site.start, site.end, meant)]
                mark = (site.start, site.start)
                yield mutant(good, [edit], mark, codes="bad-value", certain=certain, wanted=wanted)


def _entry(good: Good, site: Site) -> tuple[int, int] | None:
    """What to take out for an entry to be gone: its lines, or its text and a comma. None when it is alone."""
    assert site.key is not None
    siblings = [other for other in good.sites if other[:-1] == site.path[:-1] and len(other) == len(site.path)]
    if len(siblings) == 1:
        return None
    if not site.flow or not good.sites[site.path[:-1]].flow:
        start = good.text.rfind("\n", 0, site.key[0]) + 1
        return start, good.text.find("\n", site.end) + 1
    index = siblings.index(site.path)
    if index + 1 < len(siblings):
        following = good.sites[siblings[index + 1]].key
        return site.key[0], following[0] if following else site.end
    return good.sites[siblings[index - 1]].end, site.end


def _column(text: str, offset: int) -> int:
    return offset - text.rfind("\n", 0, offset) - 1
