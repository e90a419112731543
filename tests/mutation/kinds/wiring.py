"""Mistakes in what leads where: cycles, matrices, conditions, steps at the end. In: good specs. Out: mutants."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from mutation.good import Good
from mutation.mutant import Mutants, Span, mutant
from mutation.sites import Path


def cycle(good: Good, rng: Random) -> Mutants:
    """A step that must wait for one that waits for it."""
    for name, path in good.steps.items():
        below = sorted(other for other in good.steps if name in good.upstream(other) and other != name)
        if below and path[0] == "steps":
            yield from _needing(good, path, rng.choice(below), "cycle")


def itself(good: Good, rng: Random) -> Mutants:
    """A step that must wait for itself."""
    for name, path in good.steps.items():
        yield from _needing(good, path, name, "cycle")
    for ref in good.references:
        path = ref.site.path
        if ref.root[0] == "steps" and path[0] == "steps":
            own, (other, at) = str(path[1]), ref.parts[0]
            spans = [ref.whole, *_keys(good, {own})]
            edit = (at, at + len(other), own)
            yield mutant(good, [edit], *spans, codes="cycle unknown-output matrix-as-one")


def unknown_need(good: Good, rng: Random) -> Mutants:
    """A step that must wait for one that is not there."""
    for path in good.steps.values():
        yield from _needing(good, path, "elsewhere", "unknown-step")


def matrix_as_one(good: Good, rng: Random) -> Mutants:
    """A step with a matrix read as if it were one step."""
    for ref in good.references:
        name = ref.parts[0][0] if ref.root[0] == "steps" else ""
        declared = good.action(name) if name in good.steps else None
        if declared and len(ref.parts) == 1 and "matrix" in good.value(good.steps[name]):
            end = ref.parts[0][1] + len(name)
            output = rng.choice(list(declared.outputs.model_fields))
            yield mutant(good, [(end, end, f".{output}")], ref.whole, codes="matrix-as-one")
    for name, path in good.steps.items():
        site = good.sites[path]
        readers = [
            ref for ref in good.references if ref.root[0] == "steps" and ref.parts[0][0] == name and len(ref.parts) > 1
        ]
        if readers and not site.flow and "matrix" not in good.value(path):
            indent = " " * (site.start - good.text.rfind("\n", 0, site.start) - 1)
            edit = (site.start, site.start, f"matrix: {{fold: [1, 2]}}\n{indent}")
            yield mutant(good, [edit], *[ref.whole for ref in readers], codes="matrix-as-one")


def one_as_list(good: Good, rng: Random) -> Mutants:
    """One step read as if it had a matrix."""
    for ref in good.references:
        name = ref.parts[0][0] if ref.root[0] == "steps" else ""
        if name in good.steps and len(ref.parts) > 1 and "matrix" not in good.value(good.steps[name]):
            at = ref.parts[0][1] + len(name)
            yield mutant(good, [(at, at, "[0].outputs")], ref.whole, codes="one-as-list", certain=True)


def maybe_skipped(good: Good, rng: Random) -> Mutants:
    """A reference to a step that a condition may leave out."""
    for name, path in good.steps.items():
        site = good.sites[path]
        readers = [
            ref
            for ref in good.references
            if ref.root[0] == "steps" and ref.parts[0][0] == name and ref.site.path[0] == "steps" and "default" not in good.raw(ref.site)
            and "when" not in ref.site.path
        ]  # fmt: skip
        if readers and not site.flow and "when" not in good.value(path):
            above = sorted(other for other in good.upstream(name) if good.action(other))
            condition = rng.choice(["run.profile == 'prod'", *(f"steps.{other} is defined" for other in above)])
            indent = " " * (site.start - good.text.rfind("\n", 0, site.start) - 1)
            edit = (site.start, site.start, f'when: "${{{{ {condition} }}}}"\n{indent}')
            yield mutant(good, [edit], *[ref.whole for ref in readers], codes="maybe-skipped")


def waits_for_the_end(good: Good, rng: Random) -> Mutants:
    """A step that waits for one under ``finally``."""
    for last in good.data.get("finally", ()):
        for path in good.steps.values():
            if path[0] == "steps":
                yield from _needing(good, path, last, "waits-for-finally")


def unguarded_end(good: Good, rng: Random) -> Mutants:
    """A step under ``finally`` that reads one that may have failed."""
    sites = [site for site in good.matching("finally", "*", "with", "*") if site.kind == "scalar"]
    for site in sites:
        for name, path in good.steps.items():
            declared = good.action(name)
            if path[0] == "steps" and declared and declared.outputs.model_fields and "matrix" not in good.value(path):
                text = f'"${{{{ steps.{name}.{next(iter(declared.outputs.model_fields))} }}}}"'
                yield mutant(good, [(site.start, site.end, text)], (site.start, site.end), codes="maybe-skipped")


def broken_matrix(good: Good, rng: Random) -> Mutants:
    """A matrix that gives no cells, or too many."""
    texts = (
        "{}",
        "[1, 2]",
        "{fold: []}",
        "{fold: 3}",
        '{fold: "${{ steps.nobody.value }}"}',
        "{fold: [1, 2], exclude: [{flod: 1}]}",
        "{fold: [1], exclude: [{fold: 1}]}",
        "{fold: [1, 2], include: 3}",
        "{a: &a [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], b: *a, c: *a, d: *a}",
        "{1fold: [1]}",
    )
    for path in good.steps.values():
        site = good.sites.get((*path, "matrix"))
        if site and site.key:
            for text in texts:
                edit = (site.key[1], site.end, f": {text}")
                spans = [(site.key[0], site.end)]
                yield mutant(good, [edit], *spans, codes="bad-matrix bad-value bad-name matrix-of-a-step unknown-step")


def unknown_environment(good: Good, rng: Random) -> Mutants:
    """A variable or secret that the operator does not list."""
    for ref in good.references:
        end = ref.parts[-1][1] + len(ref.parts[-1][0])
        if good.raw(ref.site).count("${{") == 1 and "|" not in good.raw(ref.site):
            new = rng.choice(("env.HOME", "secrets.TOKEN"))
            codes = "unknown-env unknown-secret bad-expression bad-matrix"
            yield mutant(good, [(ref.root[1], end, new)], ref.whole, codes=codes)


def written_secret(good: Good, rng: Random) -> Mutants:
    """A secret that is written out."""
    texts = ("ghp_" + "a1B2" * 9, "AKIA" + "ABCD1234" * 2, "postgres://me:pa55word@host/db")
    for name, path in good.steps.items():
        for site in good.matching(*path, "with", "value"):
            if site.kind == "scalar" and good.uses(name) == "debug.echo":
                text = rng.choice(texts)
                yield mutant(good, [(site.start, site.end, text)], (site.start, site.end), codes="secret-literal")


def no_tool(good: Good, rng: Random) -> Mutants:
    """An action without its tool, or a tool without an action."""
    for name, path in good.steps.items():
        site = good.sites[(*path, "uses")]
        if good.action(name):
            tool, _, action = good.uses(name).partition(".")
            text = rng.choice((tool, action, f"{tool}/{action}", f"tools.{tool}.{action}", f"{tool}.{action}()"))
            yield mutant(
                good, [(site.start, site.end, text)], (site.start, site.start), codes="unknown-action bad-include"
            )


def lost_step(good: Good, rng: Random) -> Mutants:
    """A step that others read is renamed, and they are not."""
    for name, path in good.steps.items():
        site = good.sites[path]
        readers = [ref.whole for ref in good.references if ref.root[0] == "steps" and ref.parts[0][0] == name]
        readers += [
            (item.start, item.end) for part in ("steps", "finally") for item in good.matching(part, "*", "needs", "*")
            if good.value(item.path) == name
        ]  # fmt: skip
        if site.key and readers:
            yield mutant(good, [(*site.key, "renamed_since")], *readers, codes="unknown-step")


def _needing(good: Good, path: Path, other: str, code: str) -> Mutants:
    """A step that ``needs`` another: put into what it needs already, or a key of its own."""
    site, needs = good.sites[path], good.sites.get((*path, "needs"))
    around = {str(path[1]), other} if code == "cycle" else set()
    if code == "cycle":
        around |= good.upstream(other) | good.upstream(str(path[1]))
    keys = _keys(good, around)
    if needs and needs.flow:
        edit = (needs.start + 1, needs.start + 1, f"{other}, ")
        yield mutant(good, [edit], (needs.start, needs.end), *keys, codes=code)
    elif not needs and not site.flow:
        indent = " " * (site.start - good.text.rfind("\n", 0, site.start) - 1)
        new = f"needs: [{other}]\n{indent}"
        found = mutant(good, [(site.start, site.start, new)], (site.start, site.start), *keys, codes=code)
        at = site.start + new.index(other)
        spans: list[Span] = [(at, at), *found.spans[1:]]
        yield replace(found, spans=tuple(spans))


def _keys(good: Good, steps: set[str]) -> list[Span]:
    """The keys of steps: where a cycle is shown."""
    return [(key[0], key[0]) for name in sorted(steps) if (key := good.sites[good.steps[name]].key)]
