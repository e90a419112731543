"""Mistakes in queries and in the keys of tables: names in SQL, types of keys, functions. In: good specs. Out: mutants."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from e2i.tools.dataset import columns as datasets
from mutation.good import Good
from mutation.kinds.tables import COLUMNS
from mutation.mutant import Mutants, mutant
from mutation.sites import Site
from mutation.slips import slip

RAW = {name for table in datasets.RAW.values() for name in table}
QUALIFIED = re.compile(r"\b[a-z]\.([a-z_]+)\b")
TABLE = re.compile(r"\b(?:FROM|JOIN) ([a-z_]+)\b(?!\()")
WORD = re.compile(r"[a-z_]{4,}")
NUMBER = {"tailnum": "distance", "origin": "distance", "carrier": "distance"}
"""A key that is a text → a column of the flights that is a number."""


def column(good: Good, rng: Random) -> Mutants:
    """A slip in the name of a column in a query."""
    for site in _queries(good):
        found = [match for match in QUALIFIED.finditer(good.raw(site)) if match[1] in RAW]
        for match in rng.sample(found, min(3, len(found))):
            if typed := slip(match[1], COLUMNS | RAW, rng):
                start, end = site.start + match.start(1), site.start + match.end(1)
                edit = (start, end, typed[0])
                yield mutant(good, [edit], (start, start), codes="unknown-column")


def expression(good: Good, rng: Random) -> Mutants:
    """A slip in the name of a column in an expression of `derive`."""
    for site in good.matching("steps", "*", "with", "columns", "*"):
        if good.uses(str(site.path[1])) != "table.derive":
            continue
        for match in WORD.finditer(good.raw(site)):
            if match[0] in COLUMNS | RAW and (typed := slip(match[0], COLUMNS | RAW, rng)):
                start = site.start + match.start()
                edit = (start, start + len(match[0]), typed[0])
                yield mutant(good, [edit], (start, start), codes="unknown-column")


def table(good: Good, rng: Random) -> Mutants:
    """A slip in the name of a table in a query."""
    for site, match in _matches(good, TABLE):
        known = good.value((*site.path[:-1], "tables"))
        typed = slip(match[1], known, rng) if match[1] in known else None
        if typed and typed[0].lower() != match[1].lower():  # SQL has no upper and lower case in names
            start, end = site.start + match.start(1), site.start + match.end(1)
            yield mutant(good, [(start, end, typed[0])], (start, start), codes="bad-query")


def refused_function(good: Good, rng: Random) -> Mutants:
    """A function that does more than compute: of the clock, of chance, of files."""
    for site, match in _matches(good, re.compile(r"\bSELECT ()")):
        start = site.start + match.start(1)
        call = rng.choice(("now(), ", "random(), ", "getenv('HOME'), ", "current_user, "))
        yield mutant(good, [(start, start, call)], (start, start), codes="query-refused")


def refused_file(good: Good, rng: Random) -> Mutants:
    """A file in the place of a table."""
    for site, match in _matches(good, TABLE):
        start, end = site.start + match.start(1), site.start + match.end(1)
        for file in ("'secrets.csv'", "read_csv('secrets.csv')", "information_schema.tables"):
            yield mutant(good, [(start, end, file)], (start, start), codes="query-refused bad-query")


def key_type(good: Good, rng: Random) -> Mutants:
    """A key of another type in a join: a number is never equal to a text."""
    for site in good.matching("steps", "*", "with", "on"):
        key = good.value(site.path)[0] if isinstance(good.value(site.path), list) else None
        if good.uses(str(site.path[1])) == "table.join" and key in NUMBER and site.flow:
            edit = (site.start, site.end, f"{{{NUMBER[key]}: {key}}}")
            yield mutant(good, [edit], (site.start, site.end), codes="bad-column")


def missing_key(good: Good, rng: Random) -> Mutants:
    """A key that neither table has."""
    for site in (*good.matching("steps", "*", "with", "on", "*"), *good.matching("steps", "*", "with", "by", "*")):
        if good.uses(str(site.path[1])) in ("table.join", "table.asof") and not site.key:
            name = rng.choice(("customer_id", "plane_number", "airport_code"))
            yield mutant(good, [(site.start, site.end, name)], (site.start, site.start), codes="unknown-column")


def leak_by_aggregate(good: Good, rng: Random) -> Mutants:
    """The target of a row in its own feature, by a window that includes the row."""
    for site in good.matching("steps", "*", "with", "order"):
        step = str(site.path[1])
        around = good.sites[site.path[:-1]]
        if good.uses(step) == "table.window" and "include_current" not in good.value(around.path) and not around.flow:
            readers = [good.sites[(*good.steps[one], "with")] for one in good.steps if good.uses(one) == "model.train"]
            spans = [(reader.start, reader.end) for reader in readers if step in good.upstream(str(reader.path[1]))]
            if spans and site.key:
                at = site.key[0]
                yield mutant(good, [(at, at, "include_current: true\n      ")], *spans, codes="target-leak")


def known_later(good: Good, rng: Random) -> Mutants:
    """A model that no longer says after which moments it predicts."""
    for site in good.matching("steps", "*", "with", "predict_after"):
        around = good.sites[site.path[:-1]]
        if site.key:
            yield mutant(
                good, [(site.key[0], site.end, "exclude: []")], (around.start, around.end), codes="late-feature"
            )


def _matches(good: Good, pattern: re.Pattern[str]) -> Iterator[tuple[Site, re.Match[str]]]:
    for site in _queries(good):
        for match in pattern.finditer(good.raw(site)):
            yield site, match


def _queries(good: Good) -> Iterator[Site]:
    """Yields the queries over tables; those of a database are the database's own."""
    for site in good.matching("steps", "*", "with", "query"):
        if good.uses(str(site.path[1])) == "sql.query":
            yield site
