"""Derive views and columns of ``feast.*`` while planning. In: known parameters. Out: views, columns and problems.

Predicts the names and types that ``definitions`` and ``retrieval`` will produce. Values are known only in the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from e2i.catalog.columns import (
    ColumnProblem,
    Columns,
    Flow,
    Given,
    KnownKeys,
    KnownRepo,
    KnownTable,
    KnownView,
    Path,
    absent,
    settled,
)
from e2i.catalog.files import Files
from e2i.spec.problems import Code

FIGURES: Columns = {
    "feature": "string", "count": "int64", "nulls": "int64", "distinct": "int64", "mean": "double",
    "deviation": "double", "min": "double", "q01": "double", "q05": "double", "q25": "double", "q50": "double",
    "q75": "double", "q95": "double", "q99": "double", "max": "double", "psi": "double", "ks": "double",
    "ks_p_value": "double", "drifted": "bool",
}  # fmt: skip
"""Columns of the table of ``feast.statistics``."""
SERVICE = "service"
"""Prefix of a reference to a feature service."""
LARGEST_REGISTRY = 64 << 20
"""Size of a registry file up to which a plan reads it, in bytes."""
DECLARED = {"timestamp": "timestamp[us, tz=UTC]", "float64": "double"}
"""A feature's declared type → its certain Arrow type in a result. Integers are absent, because values may be missing.
"""
SURE = ("double", "string", "timestamp[us, tz=UTC]")
"""Arrow types that a feature keeps in a result."""


def apply(given: Given, files: Files) -> Flow:
    entities, views = given["entities"], given["views"]
    if not isinstance(entities, Mapping) or not isinstance(views, Mapping):
        return Flow()
    known: dict[str, KnownView] = {}
    problems: list[ColumnProblem] = []
    for name in sorted(views):
        if isinstance(views[name], Mapping):
            known[name], wrong = _view(name, views[name], entities)
            problems += wrong
        else:
            known[name] = KnownView(None, None)
    repo = KnownRepo(known)
    for name, view in _mapping(given["on_demand"]):
        known[name], wrong = _on_demand(name, view, repo)
        problems += wrong
    services: dict[str, tuple[str, ...]] = {}
    for name, references in _mapping(given["services"]) if isinstance(given["on_demand"], Mapping) else ():
        asked = _resolve({"repo": repo, "features": references, "full_feature_names": True})
        problems += _inside(("services", name), asked)
        services[name] = tuple(label.replace("__", ":", 1) for label in asked.columns)
    is_whole = isinstance(given["services"], Mapping) and isinstance(given["on_demand"], Mapping)
    return Flow({"repo": KnownRepo(known, services)} if is_whole else {}, problems)


def historical_features(given: Given, files: Files) -> Flow:
    table, timestamp, keep = given["table"], given["timestamp"], given["keep"]
    asked = _resolve(given)
    problems = [*asked.problems, *absent(table, ("timestamp",), timestamp), *absent(table, ("keep",), keep)]
    kind = table.columns.get(timestamp) if isinstance(table, KnownTable) and isinstance(timestamp, str) else None
    if kind is not None and not kind.startswith("timestamp"):
        hint = "parse it as a timestamp when the table is loaded"
        problems.append(
            ColumnProblem(("timestamp",), "bad-column", f'"{timestamp}" is a {kind}, not a timestamp', hint=hint)
        )
    problems += _keys_absent(table, asked.keys)
    if not isinstance(table, KnownTable) or not settled(keep):
        return Flow({"coverage": KnownKeys(asked.views)} if asked.complete else {}, problems)
    kept = table if keep is None else table.only(keep)
    if twice := [label for label in asked.columns if label in kept.columns]:
        message = f"the table already has a column with the name of a requested feature: {', '.join(twice)}"
        problems.append(ColumnProblem(("features",), "duplicate-column", message, hint=_QUALIFY))
    if not asked.complete:
        return Flow({}, problems)
    joined = kept.plus(asked.columns)
    return Flow({"table": joined, "coverage": KnownKeys(asked.views)}, problems)


def materialize(given: Given, files: Files) -> Flow:
    repo, views = given["repo"], given["views"]
    if not isinstance(repo, KnownRepo):
        return Flow()
    names = views if isinstance(views, list | tuple) else ()
    problems = [
        _unknown_view(("views", index), name, name, repo)
        for index, name in enumerate(names)
        if isinstance(name, str) and name not in repo.views
    ]
    published = tuple(repo.views) if views is None else tuple(names)
    return Flow({"views": KnownKeys(published)} if settled(views) else {}, problems)


def repository(given: Given, files: Files) -> Flow:
    """Return what the registry of the existing repository has, if it is a file that can be read without Feast."""
    known = _existing(files)
    if known is None:
        return Flow()
    asked = _resolve({"repo": known, "features": given["require"], "full_feature_names": True}, "require")
    return Flow({"repo": known}, [problem for problem in asked.problems if problem.code != "duplicate-column"])


def push(given: Given, files: Files) -> Flow:
    """Return the same definitions: rows change no columns. Report what the rows lack."""
    repo, name, table = given["repo"], given["view"], given["table"]
    if not isinstance(repo, KnownRepo):
        return Flow()
    view = repo.views.get(name) if isinstance(name, str) else None
    wanted = (*(view.keys or ()), *(view.features or ())) if view is not None else ()
    missing = [column for column in wanted if isinstance(table, KnownTable) and column not in table.columns]
    problems = []
    if missing:
        message = f'the table has no column "{missing[0]}", which view "{name}" has'
        hint = f"columns of the view: {_list(wanted)}"
        problems = [ColumnProblem(("table",), "unknown-column", message, hint=hint)]
    return Flow({"repo": repo}, problems)


def statistics(given: Given, files: Files) -> Flow:
    """Return the columns of the figures, which are the same for all features."""
    table, repo, view = given["table"], given["repo"], given["view"]
    outputs = {"table": KnownTable(FIGURES)}
    if isinstance(table, KnownTable):
        wanted = [*absent(table, ("features",), given["features"]), *absent(table, ("timestamp",), given["timestamp"])]
        return Flow(outputs, wanted)
    if not isinstance(repo, KnownRepo) or not isinstance(view, str):
        return Flow(outputs)
    if view not in repo.views:
        return Flow(outputs, [_unknown_view(("view",), view, view, repo)])
    known = repo.views[view].features
    rows = None if known is None else KnownTable(known)
    return Flow(outputs, list(absent(rows, ("features",), given["features"], f'view "{view}"')))


def online_features(given: Given, files: Files) -> Flow:
    """Return the outputs without types, because types depend on the values found."""
    asked = _resolve(given)
    problems = [*asked.problems, *_keys_absent(given["table"], asked.keys)]
    rows = given["entities"] if isinstance(given["entities"], list | tuple) else ()
    for index, row in enumerate(rows):
        missing = [key for key in asked.keys if isinstance(row, Mapping) and key not in row]
        if missing:
            message = f'these features need the join key "{missing[0]}"'
            problems.append(
                ColumnProblem(("entities", index), "unknown-column", message, hint=f"join keys: {_list(asked.keys)}")
            )
    if not asked.complete:
        return Flow({}, problems)
    return Flow({"table": KnownTable(dict.fromkeys((*sorted(asked.keys), *asked.columns)))}, problems)


class _Asked(Struct):
    """The requested features: their columns by label, the join keys they need, and their views."""

    columns: dict[str, str | None] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    complete: bool = True
    problems: list[ColumnProblem] = field(default_factory=list)


def _view(name: str, given: Mapping[str, Any], entities: Mapping[str, Any]) -> tuple[KnownView, list[ColumnProblem]]:
    """Return what is known of one view of ``feast.apply``, and its problems."""
    path: Path = ("views", name)
    table = given.get("table")
    what = f'the table of view "{name}"'
    problems: list[ColumnProblem] = []
    wanted = given.get("entity")
    keys: list[str] | None = []
    for inner, entity in _each(("entity",), wanted):
        if entity not in entities:
            message = f'view "{name}" refers to an undeclared entity "{entity}"'
            problems.append(ColumnProblem((*path, *inner), "unknown-entity", message, entity, tuple(entities)))
            continue
        declared = entities[entity]
        key = (declared.get("join_key") or entity) if isinstance(declared, Mapping) else None
        keys = None if keys is None or not isinstance(key, str) else [*keys, key]
        if isinstance(key, str) and isinstance(table, KnownTable) and key not in table.columns:
            message = f'{what} has no column "{key}", the join key of entity "{entity}"'
            at = ("entities", entity, "join_key") if isinstance(declared, Mapping) and "join_key" in declared else None
            problems.append(ColumnProblem(at or (*path, *inner), "unknown-column", message, key, tuple(table.columns)))
    for parameter in ("timestamp", "created", "features"):
        problems += absent(table, (*path, parameter), given.get(parameter), what)
    if problems or not keys or not settled(wanted):
        return KnownView(None, None), problems
    times = [given[key] for key in ("timestamp", "created") if given.get(key)]
    features, wrong = _features(name, given.get("features"), table, (*keys, *times))
    return KnownView(features, tuple(keys)), wrong


def _mapping(value: Any) -> list[tuple[str, Any]]:
    return sorted(value.items()) if isinstance(value, Mapping) else []


def _inside(path: Path, asked: _Asked) -> list[ColumnProblem]:
    """Return the problems of references that are written at another path."""
    return [
        ColumnProblem((*path, *one.path[1:]), one.code, one.message, one.name, one.known, one.hint)
        for one in asked.problems
    ]


def _on_demand(name: str, given: Any, repo: KnownRepo) -> tuple[KnownView, list[ColumnProblem]]:
    """Return an on-demand view, and the problems of its inputs."""
    if not isinstance(given, Mapping):
        return KnownView(None, None), []
    asked = _resolve({"repo": repo, "features": given.get("inputs"), "full_feature_names": False})
    problems = _inside(("on_demand", name, "inputs"), asked)
    declared, request = given.get("features"), given.get("request", {})
    if not isinstance(declared, Mapping) or not isinstance(request, Mapping):
        return KnownView(None, None), problems
    features: dict[str, str | None] = {str(one): DECLARED.get(str(kind)) for one, kind in declared.items()}
    return KnownView(features, tuple(sorted(asked.keys)) if asked.complete else None, tuple(sorted(request))), problems


def _features(
    view: str, wanted: Any, table: Any, reserved: Sequence[Any]
) -> tuple[Columns | None, list[ColumnProblem]]:
    """Return the view's features and their types; None when they are not known."""
    known = table.columns if isinstance(table, KnownTable) else None
    if not settled([wanted, list(reserved)]) or (wanted is None and known is None):
        return None, []
    chosen = list(wanted if wanted is not None else [name for name in known or () if name not in reserved])
    if clash := [name for name in chosen if name in reserved]:
        message = f'"{clash[0]}" of view "{view}" is a key or a time, not a feature'
        return None, [
            ColumnProblem(("views", view, "features"), "bad-feature", message, hint=f"remove {', '.join(clash)}")
        ]
    if not chosen:
        message = f'view "{view}" has no feature: its table has only keys and times'
        return None, [ColumnProblem(("views", view, "table"), "bad-feature", message)]
    if isinstance(wanted, Mapping):
        return {name: DECLARED.get(str(kind)) for name, kind in wanted.items()}, []
    types = {name: (known or {}).get(name) for name in chosen}
    return {name: kind if kind in SURE else None for name, kind in types.items()}, []


def _resolve(given: Given, parameter: str = "features") -> _Asked:
    """Return the features that ``view:feature``, ``view:*``, ``view`` and ``service:NAME`` select, as columns of a
    result.
    """
    repo, references, full = given["repo"], given["features"], given["full_feature_names"]
    written = [references] if isinstance(references, str) else references
    if not isinstance(repo, KnownRepo) or not isinstance(written, list | tuple):
        return _Asked(complete=False)
    asked = _Asked(complete=settled([references, full]))
    chosen: dict[str, dict[str, str | None]] = {}
    for index, reference in enumerate(written):
        path = (parameter,) if isinstance(references, str) else (parameter, index)
        for one in _of_service(path, reference, repo, asked) if isinstance(reference, str) else ():
            _choose(path, one, repo, asked, chosen)
    asked.complete = asked.complete and not asked.problems
    asked.views = tuple(chosen)
    views = [repo.views[name] for name in chosen]
    asked.keys = tuple(dict.fromkeys(key for view in views for key in (*(view.keys or ()), *view.requests)))
    _label(asked, chosen, full is True)
    return asked


def _of_service(path: Path, reference: str, repo: KnownRepo, asked: _Asked) -> Sequence[str]:
    """Return the features of a service; any other reference as it is."""
    prefix, colon, name = reference.partition(":")
    if prefix != SERVICE or not colon or SERVICE in repo.views:
        return (reference,)
    if name not in repo.services:
        known = tuple(f"{SERVICE}:{other}" for other in repo.services)
        hint = None if known else "the repository has none"
        message = f'there is no feature service "{name}"'
        asked.problems.append(ColumnProblem(path, "unknown-service", message, reference, known, hint))
    return repo.services.get(name, ())


def _choose(
    path: Path, reference: str, repo: KnownRepo, asked: _Asked, chosen: dict[str, dict[str, str | None]]
) -> None:
    """Add the features that a reference selects, or the problem of it."""
    name, _, feature = reference.partition(":")
    view = repo.views.get(name)
    if view is None:
        asked.problems.append(_unknown_view(path, reference, name, repo))
    elif view.features is None:
        asked.complete = False
    elif feature not in ("", "*", *view.features):
        known = tuple(f"{name}:{other}" for other in view.features)
        message = f'view "{name}" has no feature "{feature}"'
        asked.problems.append(ColumnProblem(path, "unknown-feature", message, reference, known))
    else:
        picked = view.features if feature in ("", "*") else {feature: view.features[feature]}
        chosen.setdefault(name, {}).update(picked)


def _existing(files: Files) -> KnownRepo | None:
    """Return what a registry file has; None when there is none, or it cannot be read without Feast."""
    root = files.configured("feast", "repo_path")
    if root is None:
        return None
    from e2i.errors import BadInput, Refused
    from e2i.tools.feast import registry_file, store_file

    try:
        document = store_file.read(root, trusted=True)  # nothing is loaded; the run refuses what it must not load
    except (BadInput, Refused):
        return None
    registry = document.get("registry")
    kind = registry.get("registry_type", "file") if isinstance(registry, Mapping) else "file"
    path = registry.get("path") if isinstance(registry, Mapping) else registry
    if kind != "file" or not isinstance(path, str) or "://" in path:
        return None
    try:
        if (root / path).stat().st_size > LARGEST_REGISTRY:
            return None
        return registry_file.read((root / path).read_bytes(), str(document.get("project")))
    except (OSError, ValueError):
        return None


def _label(asked: _Asked, chosen: Mapping[str, Mapping[str, str | None]], full: bool) -> None:
    """Map every feature to its column name, and report duplicate names."""
    for view, features in chosen.items():
        for feature, kind in features.items():
            label = f"{view}__{feature}" if full else feature
            if label in asked.columns or label in asked.keys:
                message = f'more than one column of the result would be named "{label}"'
                asked.problems.append(ColumnProblem(("features",), "duplicate-column", message, hint=_QUALIFY))
                asked.complete = False
            asked.columns[label] = kind


def _keys_absent(table: Any, keys: Iterable[str]) -> Iterator[ColumnProblem]:
    for key in keys if isinstance(table, KnownTable) else ():
        if key not in table.columns:
            message = f'the table has no column "{key}", the join key of the requested features'
            yield ColumnProblem(("table",), "unknown-column", message, hint=f"columns: {_list(table.columns)}")


def _unknown_view(path: Path, written: str, name: str, repo: KnownRepo) -> ColumnProblem:
    """Return the problem of ``written``, which names an unknown view and perhaps a feature of it."""
    rest = written[len(name) :]
    known = tuple(f"{view}{rest}" for view in repo.views)
    return ColumnProblem(path, "unknown-view", f'there is no feature view "{name}"', written, known)


def _each(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    """Return a name, or each of a list of names, with its path."""
    if isinstance(value, str):
        yield path, value
    for index, item in enumerate(value if isinstance(value, list | tuple) else ()):
        if isinstance(item, str):
            yield (*path, index), item


def _list(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:40])


_QUALIFY = "set full_feature_names: true, or leave one of them out"

_APPLY = """steps:
  data: {uses: dataset.hcp}
  features:
    uses: feast.apply
    with:
      project: hcp
      entities: {hcp: {join_key: hcp_id}}
      views:
        history: {table: "${{ steps.data.history }}", entity: hcp, timestamp: event_timestamp, created: created}
"""
_JOIN = (
    _APPLY
    + """  join:
    uses: feast.historical_features
    with:
      repo: ${{ steps.features.repo }}
      table: ${{ steps.data.journeys }}
      timestamp: observation_date
"""
)
_SERVED = _JOIN.replace("      project: hcp\n", "      project: hcp\n      services: {scoring: [history]}\n")
CODES = (
    Code(
        "unknown-service",
        "A feature service that does not exist",
        "`service:NAME` selects the features of a feature service of feast.apply or of the existing repository.",
        "Use a service listed in the hint, or name views.",
        _SERVED + "      features: service:scorin\n",
        _SERVED + "      features: service:scoring\n",
    ),
    Code(
        "unknown-view",
        "A feature view that does not exist",
        "The views of a repository are those passed to feast.apply in an upstream step.",
        "Use a view listed in the hint.",
        _JOIN + "      features: [histry]\n",
        _JOIN + "      features: [history]\n",
    ),
    Code(
        "unknown-feature",
        "A feature that its view does not have",
        "`view:feature` refers to a feature of a view, which is a column of the view's table.",
        "Use a feature listed in the hint, or `view` alone for all of them.",
        _JOIN + '      features: ["history:call"]\n',
        _JOIN + "      features: [history]\n",
    ),
    Code(
        "unknown-entity",
        "An entity that is not declared",
        "The entity of a view must be declared under `entities` of the same step.",
        "Correct the name of the entity, or declare it.",
        _APPLY.replace("entity: hcp", "entity: hpc"),
        _APPLY,
    ),
    Code(
        "duplicate-column",
        "Two columns with the same name",
        "The table would have the same column twice, and a reference to it would be ambiguous.",
        "Rename one, keep only one of them, or request features with the name of their view.",
        _JOIN.replace("journeys", "history").replace("observation_date", "event_timestamp")
        + "      features: [history]\n",
        _JOIN.replace("journeys", "history").replace("observation_date", "event_timestamp")
        + "      features: [history]\n      keep: [hcp_id, event_timestamp]\n",
    ),
)
