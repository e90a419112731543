"""Mistakes in the text, before it is a spec: quotes, colons, tabs, indentation, brackets. In: good specs. Out: mutants."""

from __future__ import annotations

import itertools
import re
from random import Random

from mutation.good import Good
from mutation.mutant import Mutants, Span, mutant


def tab(good: Good, rng: Random) -> Mutants:
    """One line that is indented with a tab."""
    for line in _indented(good):
        found = re.match(r" +", good.text[line[0] : line[1]])
        assert found
        end = line[0] + found.end()
        yield mutant(good, [(line[0], end, "\t" * max(1, found.end() // 2))], (line[0], end), codes="tab")


def tabs(good: Good, rng: Random) -> Mutants:
    """All lines indented with tabs."""
    if "|" in good.text:  # what is indented in a block of text is text
        return
    edits = [
        (found.start(), found.end(), "\t" * (len(found[0]) // 2))
        for found in re.finditer(r"^ +", good.text, re.MULTILINE)
    ]
    if edits and all(len(found) % 2 == 0 for found in re.findall(r"^ +", good.text, re.MULTILINE)):
        yield mutant(good, edits, edits[0][:2], codes="tab", certain=True)


def unclosed_expression(good: Good, rng: Random) -> Mutants:
    """An expression that lacks a brace, or both."""
    for ref in good.references:
        raw = good.raw(ref.site)
        plain = re.fullmatch(r"""["']?\$\{\{ [\w.]+( \}\})["']?""", raw)
        if plain:
            cut = rng.choice((" }", ""))
            edit = (ref.site.start + plain.start(1), ref.site.start + plain.end(1), cut)
            yield mutant(good, [edit], ref.whole, codes="unclosed-expression bad-expression yaml-syntax", certain=True)


def unquoted_expression(good: Good, rng: Random) -> Mutants:
    """An expression in a flow mapping or list without its quotes."""
    for ref in good.references:
        raw = good.raw(ref.site)
        if ref.site.flow and ref.site.style == '"' and re.fullmatch(r'"\$\{\{ [^:"]+ \}\}"', raw):
            edits = [(ref.site.start, ref.site.start + 1, ""), (ref.site.end - 1, ref.site.end, "")]
            yield mutant(good, edits, ref.whole, codes="yaml-syntax key-type", certain=True)


def bare_braces(good: Good, rng: Random) -> Mutants:
    """``{{ x }}`` for ``${{ x }}``, outside quotes."""
    for ref in good.references:
        if not ref.site.style and re.fullmatch(r"\$\{\{ [\w.]+ \}\}", good.raw(ref.site)):
            edit = (ref.site.start, ref.site.start + 1, "")
            yield mutant(good, [edit], ref.whole, codes="key-type", certain=True)


def missing_colon(good: Good, rng: Random) -> Mutants:
    """A key without its colon."""
    for site in good.sites.values():
        if site.key and not site.flow and good.text[site.key[1]] == ":":
            colon = site.key[1]
            yield mutant(good, [(colon, colon + 1, "")], _line(good, colon), codes="yaml-syntax bad-value")


def missing_space(good: Good, rng: Random) -> Mutants:
    """``rows:3`` for ``rows: 3``."""
    for site in good.sites.values():
        if site.key and not site.flow and good.text[site.key[1] : site.key[1] + 2] == ": ":
            space = site.key[1] + 1
            if site.kind == "scalar" and site.style not in ("|", ">"):
                line = _line(good, space)
                yield mutant(good, [(space, space + 1, "")], line, codes="yaml-syntax bad-value", certain=True)


def unclosed_quote(good: Good, rng: Random) -> Mutants:
    """A quote that is opened and not closed."""
    for site in good.sites.values():
        if site.style in ('"', "'"):
            spans = [(site.start, site.end)]
            yield mutant(good, [(site.end - 1, site.end, "")], *spans, codes="yaml-syntax key-type unclosed-expression")


def unclosed_bracket(good: Good, rng: Random) -> Mutants:
    """A brace or bracket that is opened and not closed."""
    for site in good.sites.values():
        if site.kind != "scalar" and good.text[site.start] in "{[" and not good.sites[site.path[:-1]].flow:
            end = good.text.find("\n", site.end)
            following = good.text.find("\n", end + 1) + 1 or end
            # Found out on the same line, where it opens, or at the first thing that cannot belong to it.
            edit = (site.end - 1, site.end, "")
            yield mutant(good, [edit], (site.start, following), codes="yaml-syntax duplicate-key key-type")


def indented_too_far(good: Good, rng: Random) -> Mutants:
    """A key that stands one column to the right of those beside it."""
    for path, site in good.sites.items():
        if site.key and not site.flow and site.kind == "scalar" and not site.style and not _is_first(good, path):
            start = good.text.rfind("\n", 0, site.key[0]) + 1
            if not good.text[start : site.key[0]].strip():
                yield mutant(good, [(start, start, " ")], _line(good, start), codes="yaml-syntax")


def indented_too_little(good: Good, rng: Random) -> Mutants:
    """A key that stands one column to the left of those beside it."""
    for path, site in good.sites.items():
        if len(path) > 1 and site.key and not site.flow and not _is_first(good, path) and site.kind == "scalar":
            start = good.text.rfind("\n", 0, site.key[0]) + 1
            if not good.text[start : site.key[0]].strip():
                yield mutant(good, [(start, start + 1, "")], _line(good, start), codes="yaml-syntax")


def tag(good: Good, rng: Random) -> Mutants:
    """A tag, as for a Python object."""
    for path, site in good.sites.items():
        if site.kind == "scalar" and len(path) > 2 and not site.style:
            new = rng.choice(("!!python/name:os.system ", "!!str ", "!env "))
            yield mutant(good, [(site.start, site.start, new)], (site.start, site.start), codes="tag")


def merge_key(good: Good, rng: Random) -> Mutants:
    """A merge key, which YAML 1.2 does not have."""
    ids = list(good.data["steps"])
    for name, other in itertools.pairwise(ids):
        site, second = good.sites[("steps", name)], good.sites[("steps", other)]
        if not site.flow and not second.flow:
            at, below = site.start, second.start
            indent = " " * (at - good.text.rfind("\n", 0, at) - 1)
            edits = [(at - len(indent) - 1, at - len(indent) - 1, " &base"), (below, below, f"<<: *base\n{indent}")]
            yield mutant(good, edits, (below, below), codes="merge-key")


def unknown_alias(good: Good, rng: Random) -> Mutants:
    """An alias of what is anchored nowhere."""
    for path, site in good.sites.items():
        if site.kind == "scalar" and len(path) > 3 and path[2] == "with":
            yield mutant(good, [(site.start, site.end, "*base")], (site.start, site.start), codes="alias")


def second_document(good: Good, rng: Random) -> Mutants:
    """A line of three dashes between two steps."""
    for path in good.steps.values():
        site = good.sites[path]
        if site.key and not site.flow:
            start = good.text.rfind("\n", 0, site.key[0]) + 1
            marks: list[Span] = [(start, start)]
            yield mutant(good, [(start, start, "---\n")], *marks, codes="multiple-documents yaml-syntax bad-value")


def missing_dash(good: Good, rng: Random) -> Mutants:
    """An item of a list without its dash."""
    for site in good.sites.values():
        is_item = not site.flow and site.path and isinstance(site.path[-1], int) and good.text[site.start - 2] == "-"
        if is_item and "value" not in site.path:  # of a text for any value nobody knows that it was meant as a list
            around, following = good.sites[site.path[:-1]], good.sites.get((*site.path[:-1], int(site.path[-1]) + 1))
            edit = (site.start - 2, site.start, "  ")
            spans = [_line(good, site.start), (around.start, around.start)]
            spans += [(following.start - 2, following.start)] if following else []
            before = good.sites.get((*site.path[:-1], int(site.path[-1]) - 1))
            spans += [(before.start, before.end)] if before else []
            yield mutant(
                good,
                [edit],
                *spans,
                codes="yaml-syntax bad-action-parameter bad-value unknown-step duplicate-key unknown-column bad-graph",
            )


def _line(good: Good, offset: int) -> Span:
    """From the first character of a line that is no space to its end."""
    start, end = good.text.rfind("\n", 0, offset) + 1, good.text.find("\n", offset)
    return start + len(good.text[start:end]) - len(good.text[start:end].lstrip()), end


def _indented(good: Good) -> list[Span]:
    """The lines that are indented, other than those of lists and of texts over several lines."""
    starts = {good.text.rfind("\n", 0, site.key[0]) + 1 for site in good.sites.values() if site.key and not site.flow}
    lines = [(start, good.text.find("\n", start)) for start in sorted(starts)]
    return [line for line in lines if good.text[line[0]] == " "]


def _is_first(good: Good, path: tuple[str | int, ...]) -> bool:
    """Whether an entry is the first of its mapping."""
    return next(other for other in good.sites if len(other) == len(path) and other[:-1] == path[:-1]) == path
