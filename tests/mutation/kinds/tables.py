"""Mistakes about data: columns, targets, views, features, suites, files. In: good specs. Out: mutants."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from e2i.tools.dataset import columns as datasets
from mutation.good import Good
from mutation.mutant import Mutants, mutant
from mutation.sites import Path, Site
from mutation.slips import slip

FILES = ("data/hcp.csv", "data/visits.csv")
SUITES = ("e2i_classification_suite", "e2i_regression_suite", "flights")
FILE_COLUMNS = ("hcp_id", "day", "brand", "specialty", "calls", "samples", "comment", "target", "seen_at", "minutes")
COLUMNS = {
    *datasets.JOURNEYS, *datasets.HISTORY, *datasets.TRUTH, *datasets.FLIGHTS, *datasets.WEATHER, *datasets.PLANES, *FILE_COLUMNS,
}  # fmt: skip
"""Every column there is: what is certain among all is certain among those of one table."""
NAMED_BY: dict[str, tuple[tuple[str, ...], ...]] = {
    "data.load": (("columns", "*"), ("parse_dates", "*")),
    "data.select": (("columns", "*"), ("exclude", "*"), ("where", "*", "column")),
    "data.split": (("by",),),
    "feast.apply": (("entities", "*", "join_key"), ("views", "*", "timestamp"), ("views", "*", "created"), ("views", "*", "features", "*")),
    "feast.historical_features": (("timestamp",), ("keep", "*")),
    "great_expectations.validate": (("suite", "*", "column"),),
    "model.compare": (("group",),),
    "model.errors": (("columns", "*"), ("group",)),
    "model.evaluate": (("by", "*"), ("group",)),
    "model.fairness": (("by", "*"), ("group",)),
    "model.learning_curve": (("target",), ("features", "*"), ("group",)),
    "model.predict": (("keep", "*"),),
    "table.aggregate": (("by", "*"), ("columns", "*", "of"), ("columns", "*", "where", "*", "column")),
    "table.asof": (("by", "*"), ("left_time",), ("right_time",)),
    "table.dates": (("column",),),
    "table.dedupe": (("by", "*"), ("order", "*")),
    "table.join": (("on", "*"),),
    "table.pivot": (("by", "*"), ("column",), ("of",)),
    "table.sample": (("by", "*"),),
    "table.unpivot": (("columns", "*"),),
    "table.window": (("by", "*"), ("order", "*"), ("columns", "*", "of")),
    "model.train": (("target",), ("features", "*"), ("exclude", "*")),
    "optuna.tune": (("target",), ("features", "*"), ("exclude", "*")),
}  # fmt: skip
CODES = "unknown-column unknown-view unknown-feature"


def column(good: Good, rng: Random) -> Mutants:
    """A slip in the name of a column."""
    for site, name in _columns(good):
        if typed := slip(name, COLUMNS, rng):
            edit = (site.start, site.end, typed[0])
            yield mutant(good, [edit], (site.start, site.start), codes=CODES, certain=typed[1])


def other_column(good: Good, rng: Random) -> Mutants:
    """The name of a column that is in no table."""
    for site, _ in _columns(good):
        edit = (site.start, site.end, rng.choice(("customer_value", "outcome_date", "weight_kg")))
        yield mutant(good, [edit], (site.start, site.start), codes=CODES)


def removed_column(good: Good, rng: Random) -> Mutants:
    """A column that is no longer kept or loaded, but used further down."""
    for pattern in (("steps", "*", "with", "keep", "*"), ("steps", "*", "with", "columns", "*")):
        for site in good.matching(*pattern):
            if site.key:  # an entry of a mapping
                continue
            name, own = good.value(site.path), site.path[:2]
            users = [other for other, used in _columns(good) if used == name and other.path[:2] != own]
            below = [user for user in users if str(own[1]) in good.upstream(str(user.path[1]))]
            others = [
                user for user in _columns(good) if user[0].path[:2] == own and user[1] == name and user[0] is not site
            ]
            index, around = int(site.path[-1]), good.sites[site.path[:-1]]
            following = good.sites.get((*site.path[:-1], index + 1))
            if below and following and around.flow:
                spans = [(user.start, user.start) for user in [*below, *(other for other, _ in others)]]
                yield mutant(good, [(site.start, following.start, "")], *spans, codes=f"{CODES} target-leak")


def leaked_target(good: Good, rng: Random) -> Mutants:
    """The target among the features."""
    for site in good.matching("steps", "*", "with", "features"):
        target = good.value(site.path[:-1]).get("target")
        if target and site.flow:
            at = rng.choice(
                [site.start + 1, *(good.sites[(*site.path, i)].start for i in range(len(good.value(site.path))))]
            )
            yield mutant(good, [(at, at, f"{target}, ")], (at, at), codes="target-leak", certain=True)


def leaked_outcome(good: Good, rng: Random) -> Mutants:
    """What the target was made from, among the features."""
    for site in good.matching("steps", "*", "with", "exclude"):
        around = good.value(site.path[:-1])
        if (
            around.get("target") in ("target", "outcome")
            and "outcome" in good.text
            and not any(good.uses(step) == "database.read" for step in good.steps)  # which has no such column
            and not good.file.startswith("specs/files")
        ):
            path: Path = site.path[:-1]
            spans = [(good.sites[path].start, good.sites[path].end)]
            for keep in good.matching("steps", "*", "with", "keep"):
                names = good.value(keep.path)
                other = "outcome" if "outcome" not in names else "target"
                edit = (keep.end - 1, keep.end - 1, f", {other}")
                if str(keep.path[1]) in good.upstream(str(path[1])) and other not in names:
                    readers = [s for p in good.steps for s in _spans_of(good, p, other)]
                    yield mutant(good, [edit], *spans, *readers, codes="target-leak")


def time_as_feature(good: Good, rng: Random) -> Mutants:
    """A timestamp that is no longer excluded."""
    times = {
        name for table in (datasets.JOURNEYS, datasets.FLIGHTS) for name, kind in table.items() if kind == datasets.TIME
    }
    for site in good.matching("steps", "*", "with", "exclude", "*"):
        step, around = str(site.path[1]), good.sites[site.path[:-1]]
        if good.value(site.path) in times and around.flow and good.uses(step) in ("model.train", "optuna.tune"):
            index = int(site.path[-1])
            before, following = (
                good.sites.get((*site.path[:-1], index - 1)),
                good.sites.get((*site.path[:-1], index + 1)),
            )
            gone = (site.start, following.start) if following else (before.end, site.end) if before else None
            if gone:
                marks = [
                    good.sites[path]
                    for path in (
                        ("steps", step, "with", "exclude"),
                        ("steps", step, "with", "table"),
                        ("steps", step, "with", "train"),
                    )
                    if path in good.sites
                ]
                spans = [(mark.key[0] if mark.key else mark.start, mark.end) for mark in marks]
                yield mutant(
                    good, [(*gone, "")], *spans, codes="unusable-feature time-as-feature target-leak bad-feature"
                )


def view(good: Good, rng: Random) -> Mutants:
    """A slip in the name of a feature view."""
    views = {str(site.path[-1]) for site in good.matching("steps", "*", "with", "views", "*") if site.key}
    for site, text, at in _features(good):
        name = text.partition(":")[0]
        if typed := slip(name, views, rng):
            yield mutant(
                good, [(at, at + len(name), typed[0])], (site.start, site.end), codes="unknown-view", certain=typed[1]
            )
    for site in good.matching("steps", "*", "with", "views", "*"):
        if not site.key and (typed := slip(good.value(site.path), views, rng)):
            yield mutant(
                good, [(site.start, site.end, typed[0])], (site.start, site.end), codes="unknown-view", certain=typed[1]
            )


def feature(good: Good, rng: Random) -> Mutants:
    """A slip in the name of a feature of a view."""
    for site, text, at in _features(good):
        prefix, colon, name = text.partition(":")
        typed = slip(name, COLUMNS, rng) if colon else None
        if typed:
            start = at + len(prefix) + 1
            edit = (start, start + len(name), typed[0])
            yield mutant(good, [edit], (site.start, site.end), codes="unknown-feature", certain=typed[1])


def suite(good: Good, rng: Random) -> Mutants:
    """A slip in the name of a suite."""
    for site in good.matching("steps", "*", "with", "suite"):
        name = good.value(site.path)
        if isinstance(name, str) and (typed := slip(name, SUITES, rng)):
            edit = (site.start, site.end, typed[0])
            yield mutant(good, [edit], (site.start, site.start), codes="no-such-suite", certain=typed[1])


def missing_file(good: Good, rng: Random) -> Mutants:
    """A file that is not there, by a slip."""
    for site in good.matching("steps", "*", "with", "path"):
        name = good.value(site.path) if good.action(str(site.path[1])) else ""
        folder, _, base = name.rpartition("/")
        stem, _, suffix = base.partition(".")
        if name in FILES and (typed := slip(stem, [file[5:-4] for file in FILES], rng)):
            edit = (site.start, site.end, f"{folder}/{typed[0]}.{suffix}")
            yield mutant(good, [edit], (site.start, site.start), codes="no-such-file", certain=typed[1])


def forbidden_file(good: Good, rng: Random) -> Mutants:
    """A file that a spec may not read."""
    texts = ("../secret.csv", "/etc/passwd", "https://example.com/x.csv", "data", "data/../../x.csv", "/dev/zero")
    for site in (*good.matching("steps", "*", "with", "path"), *good.matching("steps", "*", "with", "file")):
        for text in texts if good.action(str(site.path[1])) else ():
            codes = "bad-path policy-path bad-action-parameter bad-parameter no-such-file"
            yield mutant(good, [(site.start, site.end, text)], (site.start, site.start), codes=codes)


def wrong_table(good: Good, rng: Random) -> Mutants:
    """Another table of the same kind, which lacks what is needed of it."""
    for site in good.matching("steps", "*", "with", "table"):
        step = str(site.path[1])
        others = {
            "steps.data.journeys": "steps.data.truth",
            "steps.data.flights": "steps.data.weather",
            "steps.load.table": "steps.visits.table",
        }
        raw = good.raw(site)
        given = next((name for name in others if f" {name} " in raw), None)
        if given and good.uses(step) not in ("bentoml.predict", "shap.explain", "great_expectations.validate"):
            other = others[given]
            if other.split(".")[1] not in good.steps or good.uses(step) == "data.split":  # all have what it is split by
                continue
            at = site.start + raw.index(given)
            around = good.sites[site.path[:-1]]
            yield mutant(good, [(at, at + len(given), other)], (around.start, around.end), codes=CODES + " missing-key")


def _columns(good: Good) -> Iterator[tuple[Site, str]]:
    """Where a column is named, plainly."""
    for name, path in good.steps.items():
        for pattern in NAMED_BY.get(good.uses(name), ()):
            for site in good.matching(*path, "with", *pattern):
                if site.kind == "scalar" and not site.style and (value := good.value(site.path)) in COLUMNS:
                    yield site, value


def _features(good: Good) -> Iterator[tuple[Site, str, int]]:
    """Where features are asked for, with the text and its offset behind a quote."""
    for name, path in good.steps.items():
        if good.uses(name) in ("feast.historical_features", "feast.online_features"):
            for site in good.matching(*path, "with", "features", "*"):
                yield site, good.value(site.path), site.start + bool(site.style)


def _spans_of(good: Good, step: str, column: str) -> list[tuple[int, int]]:
    """Where a step may be told that a column gives its target away: at what it learns from."""
    if good.uses(step) not in ("model.train", "optuna.tune"):
        return []
    site = good.sites[(*good.steps[step], "with")]
    return [(site.start, site.end)]
