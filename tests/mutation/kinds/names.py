"""Slips in names: of actions, steps, parameters, outputs, roles, filters. In: good specs. Out: mutants."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from e2i.catalog.registry import BUILT_IN
from e2i.spec.models import ParamSpec, PipelineSpec, RetrySpec, StepOptions, StepSpec
from mutation.good import Good
from mutation.mutant import Edit, Mutants, Span, mutant
from mutation.slips import slip

ROLES = (
    "scope_definer", "data_preparer", "model_selector", "model_trainer", "feature_analyzer", "model_deployer",
    "observability_connector", "prediction_synthesizer",
)  # fmt: skip
FILTERS = (
    "abs", "default", "first", "float", "int", "join", "keys", "last", "length", "lower", "max", "min", "replace",
    "round", "sort", "string", "sum", "tojson", "trim", "unique", "upper", "values",
)  # fmt: skip
TYPES = ("string", "integer", "number", "boolean", "list", "mapping", "date", "path", "any")


def action(good: Good, rng: Random) -> Mutants:
    """A slip in the action or tool that a step uses."""
    for name, path in good.steps.items():
        if good.action(name):
            site = good.sites[(*path, "uses")]
            yield from _slipped(
                good, rng, good.uses(name), site.start, BUILT_IN.names(), [(site.start,) * 2], "unknown-action"
            )


def part(good: Good, rng: Random) -> Mutants:
    """A slip in the path of a part."""
    for name, path in good.steps.items():
        if good.part(name):
            site = good.sites[(*path, "uses")]
            stem, known = (
                good.uses(name).split("/")[-1].removesuffix(".yaml"),
                [file.split("/")[-1][:-5] for file in good.parts],
            )
            at = site.start + good.raw(site).index(f"{stem}.yaml")
            yield from _slipped(good, rng, stem, at, known, [(site.start, site.start)], "no-such-include bad-include")


def step(good: Good, rng: Random) -> Mutants:
    """A slip in a step's id in an expression."""
    for ref in good.references:
        if ref.root[0] == "steps":
            yield from _slipped(good, rng, *ref.parts[0], good.steps, [ref.whole], "unknown-step")


def needed_step(good: Good, rng: Random) -> Mutants:
    """A slip in a step's id under ``needs``."""
    for part in ("steps", "finally"):
        for site in good.matching(part, "*", "needs", "*"):
            spans = [(site.start, site.start)]
            yield from _slipped(good, rng, good.raw(site), site.start, good.steps, spans, "unknown-step")


def output(good: Good, rng: Random) -> Mutants:
    """A slip in the name of an output."""
    for ref in good.references:
        if ref.root[0] == "steps" and len(ref.parts) > 1:
            known = good.outputs(ref.parts[0][0])
            yield from _slipped(good, rng, *ref.parts[1], known, [ref.whole], "unknown-output")


def pipeline_parameter(good: Good, rng: Random) -> Mutants:
    """A slip in the name of a pipeline's parameter in an expression."""
    for ref in good.references:
        if ref.root[0] == "params":
            codes = "unknown-parameter bad-matrix"  # of a matrix nothing is known without it
            yield from _slipped(good, rng, *ref.parts[0], good.data["params"], [ref.whole], codes)


def matrix_name(good: Good, rng: Random) -> Mutants:
    """A slip in a name of the matrix in an expression."""
    for ref in good.references:
        if ref.root[0] == "matrix":
            known = set(good.value(ref.site.path[:2])["matrix"]) - {"include", "exclude"}
            yield from _slipped(good, rng, *ref.parts[0], known, [ref.whole], "unknown-matrix-name")


def root(good: Good, rng: Random) -> Mutants:
    """A slip in ``steps``, ``params`` …: ``step.load``."""
    known = ("params", "steps", "matrix", "env", "secrets", "run")
    for ref in good.references:
        # "bad-expression" says that there is no such name
        yield from _slipped(good, rng, *ref.root, known, [ref.whole], "bad-expression")


def applied_filter(good: Good, rng: Random) -> Mutants:
    """A slip in the name of a filter."""
    for ref in good.references:
        written = good.raw(ref.site)
        at = written.find(" | ", ref.root[1] - ref.site.start)
        name = written[at + 3 :].split(" ")[0].split("(")[0] if at >= 0 else ""
        if name in FILTERS:
            yield from _slipped(good, rng, name, ref.site.start + at + 3, FILTERS, [ref.whole], "bad-expression")


def action_parameter(good: Good, rng: Random) -> Mutants:
    """A slip in the name of an action's or a part's parameter."""
    for name, path in good.steps.items():
        known = good.parameters(name)
        for site in good.matching(*path, "with", "*"):
            if site.key:
                codes = "unknown-action-parameter unknown-parameter"
                spans = [(site.key[0], site.key[0])]
                yield from _slipped(good, rng, good.text[slice(*site.key)], site.key[0], known, spans, codes)


def key(good: Good, rng: Random) -> Mutants:
    """A slip in a key of the language: of the spec, a step, a parameter, an option."""
    levels: list[tuple[tuple[str, ...], Iterable[str]]] = [
        (("*",), _keys(PipelineSpec)),
        (("steps", "*", "*"), _keys(StepSpec)),
        (("finally", "*", "*"), _keys(StepSpec)),
        (("params", "*", "*"), _keys(ParamSpec)),
        (("defaults", "*"), _keys(StepOptions)),
        (("defaults", "retry", "*"), _keys(RetrySpec)),
        (("steps", "*", "retry", "*"), _keys(RetrySpec)),
    ]
    for pattern, known in levels:
        for site in good.matching(*pattern):
            if site.key:
                spans = [(site.key[0], site.key[0])]
                name = good.text[slice(*site.key)]
                yield from _slipped(good, rng, name, site.key[0], known, spans, "unknown-key")


def role(good: Good, rng: Random) -> Mutants:
    """A slip in the name of an agent's role."""
    for site in good.matching("steps", "*", "agent"):
        yield from _slipped(good, rng, good.raw(site), site.start, ROLES, [(site.start,) * 2], "unknown-agent")


def parameter_type(good: Good, rng: Random) -> Mutants:
    """A slip in the type of a pipeline's parameter."""
    for site in good.matching("params", "*", "type"):
        yield from _slipped(good, rng, good.raw(site), site.start, TYPES, [(site.start,) * 2], "bad-value")


def option(good: Good, rng: Random) -> Mutants:
    """A slip in a word that an option takes: ``on_error: contniue``."""
    words = {
        "on_error": ("fail", "continue"),
        "on_unavailable": ("fail", "skip", "defer"),
        "backoff": ("exponential", "linear", "constant"),
    }
    for path, site in good.sites.items():
        if path and path[-1] in words and path[0] in ("steps", "defaults", "finally"):
            known = words[str(path[-1])]
            yield from _slipped(good, rng, good.raw(site), site.start, known, [(site.start,) * 2], "bad-value")


def _slipped(
    good: Good, rng: Random, name: str, at: int, known: Iterable[str], spans: list[Span], codes: str
) -> Mutants:
    typed = slip(name, known, rng)
    if typed:
        text, certain = typed
        edit: Edit = (at, at + len(name), text)
        yield mutant(good, [edit], *spans, codes=codes, certain=certain)


def _keys(model: type) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]  # type: ignore[attr-defined]
