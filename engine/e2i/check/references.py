"""Checks that every reference resolves. In: a spec. Out: problems of unknown names, steps and outputs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

from e2i.check import missing_steps, types
from e2i.check.type_environment import TypeEnvironment
from e2i.documents import JsonObject
from e2i.spec import expressions, fixes, suggest
from e2i.spec.expansion.dataflow import MAX_HOPS
from e2i.spec.expansion.expanded import RUN_FACTS, Expanded
from e2i.spec.expansion.nodes import Path, SpecInstance, StepNode
from e2i.spec.expressions import Template
from e2i.spec.load import LoadedSpec
from e2i.spec.problems import Code, Fixes, Problem
from e2i.spec.references import Reference
from e2i.spec.values import ExpressionError, MissingError

if TYPE_CHECKING:
    from e2i.check.context import CheckContext


DANGLING = frozenset(
    {
        *("unknown-parameter", "unknown-matrix-name", "unknown-env", "unknown-secret", "unknown-run-name"),
        *("unknown-step", "unknown-output", "matrix-as-one", "one-as-list"),
    }
)
"""Codes of dangling references. Any other problem of the same expression follows from them."""


LONGEST_HINT = 120
"""Longer expressions are not repeated in a hint."""


def unreadable(loaded: LoadedSpec) -> list[Problem | None]:
    """Returns the problems of expressions that cannot be parsed. None: it is a problem of a name in it."""
    held: JsonObject = {"outputs": loaded.spec.outputs}
    for section, name, step in loaded.spec.every_step():
        held.setdefault(section, {})[name] = {"with": step.with_, "when": step.when, "matrix": step.matrix}
    found: list[Problem | None] = []
    for path, read in expressions.walk(held):
        if loaded.is_unjudged(path):
            found.append(None)
        elif isinstance(read, ExpressionError):
            found.append(_unreadable(loaded, path, read))
    return found


def _unreadable(loaded: LoadedSpec, path: Path, error: ExpressionError) -> Problem:
    """Returns the problem of an expression that cannot be parsed, with a fix for a mistyped name or a missing brace."""
    fix: Fixes = ()
    document = loaded.document
    text, hint = document.value(path), error.hint
    if (ours := _translated(text)) is not None:
        hint, fix = f"write {ours}" if len(ours) <= LONGEST_HINT else hint, fixes.replaced(path, ours)
    elif unclosed := _UNCLOSED.fullmatch(text):
        fix = fixes.replaced(path, f"{unclosed[1]} }}}}")
    elif braced := _MORE_BRACES.fullmatch(text):
        hint, fix = f"write ${{{{ {braced[1]} }}}}", fixes.replaced(path, f"${{{{ {braced[1]} }}}}")
    elif isinstance(error, MissingError) and (meant := _root(loaded, text, error)):
        hint = f'did you mean "{meant}"?'
        before, behind = text[: error.offset], text[error.offset :]
        if behind.startswith(error.key):
            fix = fixes.replaced(path, before + meant + behind.removeprefix(error.key))
    return document.problem("bad-expression", path, str(error), hint, offset=error.offset, fixes=fix)


def _root(loaded: LoadedSpec, text: str, error: MissingError) -> str | None:
    """Returns the name in scope that an unknown one means: the mistyped one, or that of what other tools call so."""
    if meant := suggest.certain(error.key, error.known):
        return meant
    name = re.match(rf"{re.escape(error.key)}\.(\w+)", text[error.offset :])
    held: dict[str, Collection[str]] = {
        "params": loaded.spec.params,
        "steps": {**loaded.spec.steps, **loaded.spec.finally_},
    }
    ours = _OTHER_ROOTS.get(error.key, "")
    return ours if name is not None and name[1] in held.get(ours, ()) else None


def _translated(text: str) -> str | None:
    """Returns the text with its expressions translated from another language, if it can then be read."""
    from e2i.spec import dialects  # only needed for an expression that cannot be read

    ours = dialects.in_template(text)
    try:
        return ours if ours != text and expressions.parse(ours).expressions else None
    except ExpressionError:
        return None


def check(context: CheckContext) -> Iterator[Problem]:
    """Yields problems of references in steps and outputs."""
    expanded, environment = context.expanded, context.environment
    wanted = cache(partial(missing_steps.wanted, expanded))  # for missing steps only
    for unit in expanded.units():
        for path, reference in unit.references:
            if not _is_output(expanded, environment, unit, reference):
                yield from _Use(expanded, environment, unit, path, reference, wanted).problems()
            if len(expanded.instances) > 1 and expanded.behind(unit, reference).too_far:
                message = f"{reference} passes through more than {MAX_HOPS} included specs"
                hint = "pass the value directly to the step that needs it"
                yield unit.document.problem("bad-include", path, message, hint)
    for instance in expanded.instances:
        for path, template in expressions.walk(instance.loaded.spec.outputs):
            for reference in template.references if isinstance(template, Template) else ():
                use = _Use(expanded, environment, instance, ("outputs", *path), reference, wanted)
                yield from use.problems()


def _is_output(expanded: Expanded, environment: TypeEnvironment, node: StepNode, reference: Reference) -> bool:
    """Returns True for an existing output of one step, as most references are. It needs no other check."""
    if reference.root != "steps" or len(reference.path) != 2:
        return False
    name, output = reference.path
    if name not in node.instance.units or not expanded.is_one(node, str(name)):
        return False
    return types.inside(environment.of_step(str(name), node), output) is not None


class _Use(NamedTuple):
    """A reference in the text at ``path``."""

    expanded: Expanded
    environment: TypeEnvironment
    node: StepNode | SpecInstance
    path: Path
    reference: Reference
    wanted: Callable[[], missing_steps.Wanted]

    @property
    def name(self) -> str:
        """The name after the root."""
        return str(self.reference.path[0])

    def problems(self) -> Iterable[Problem]:
        """Returns the problem of a dangling reference."""
        if not self.reference.path:
            return ()
        name = self.name
        match self.reference.root:
            case "steps":
                return self._step()
            case "params" if name not in (known := self.node.instance.loaded.spec.params):
                hint = suggest.hint(name, known) or "declare it under params:"
                return self._unknown("unknown-parameter", f'the spec has no parameter "{name}"', known, hint)
            case "matrix" if name not in self.node.matrix:
                return self._matrix()
            case "env" if name not in (names := self.expanded.env):
                hint = suggest.hint(name, names) or "the operator lists what specs may read under env: in config/"
                return self._unknown("unknown-env", f'env has no name "{name}"', names, hint)
            case "secrets" if name not in (secrets := self.expanded.secrets):
                hint = suggest.hint(name, secrets) or "the operator lists secrets under secrets: in config/"
                return self._problem("unknown-secret", f'there is no secret "{name}"', hint)
            case "run":
                return self._run()
        return ()

    def _is_unjudged(self) -> bool:
        """Returns True for a reference to a step or parameter that has problems of its own."""
        is_any = self.reference.root in ("steps", "params")
        return is_any and self.name in self.node.instance.loaded.unjudged

    def _problem(
        self, code: str, message: str, hint: str | None, wrong: str = "", meant: str | None = None, parent: str = ""
    ) -> Iterable[Problem]:
        """Returns the problem, with its fix if ``wrong`` after ``parent`` certainly means ``meant``."""
        document = self.node.document
        fix = fixes.reworded(self.path, document.value(self.path), f"{parent}." if parent else "", wrong, meant)
        return (document.problem(code, self.path, message, hint, fixes=fix),)

    def _unknown(self, code: str, message: str, known: Iterable[str], hint: str | None) -> Iterable[Problem]:
        """Returns the problem of an unknown first name. It is reported elsewhere if what it names is left out."""
        if self._is_unjudged():
            return ()
        meant = suggest.certain(self.name, known)
        return self._problem(code, message, hint, self.name, meant, self.reference.root)

    def _matrix(self) -> Iterable[Problem]:
        node, name = self.node, self.name
        combinations = node.instance.units[node.name] if isinstance(node, StepNode) else ()
        known = {key: None for unit in combinations for key in unit.matrix}
        if name not in known:
            where = "the step's matrix has" if known else "there is"
            message = f'{where} no name "{name}"'
            return self._unknown("unknown-matrix-name", message, known, suggest.hint(name, known))
        if not self.reference.optional:  # another combination has it
            assert isinstance(node, StepNode)
            hint = f"only some combinations have it: {self.reference} | default(…)"
            return self._problem("unknown-matrix-name", f'the combination {node.id} has no name "{name}"', hint)
        return ()

    def _run(self) -> Iterable[Problem]:
        if self.name not in RUN_FACTS:
            hint = suggest.hint(self.name, RUN_FACTS)
            return self._unknown("unknown-run-name", f'run has no "{self.name}"', RUN_FACTS, hint)
        if self.name == "status" and not (isinstance(self.node, StepNode) and self.node.final):
            message = "run.status is only known when all steps have ended, so only steps under finally can read it"
            return self._problem("waits-for-finally", message, "move the step under finally:")
        return ()

    def _step(self) -> Iterable[Problem]:
        name, units = self.name, self.node.instance.units
        found = units.get(name)
        if found is None:
            others = [one for one in units if one != getattr(self.node, "name", None)]  # not the step itself
            return self._unknown("unknown-step", f'there is no step "{name}"', others, self._instead(name, others))
        if len(self.reference.path) > 1 and found:  # without units, its invalid matrix is reported
            return self._output(found[0].step.uses)
        return ()

    def _instead(self, name: str, units: Iterable[str]) -> str | None:
        """Returns the step that is meant, or how to add the one that is missing."""
        hint = suggest.hint(name, units)
        if hint and hint.startswith("did you mean"):
            return hint
        instance = self.node.instance if isinstance(self.node, StepNode) else self.node
        outputs = self.wanted().get((instance.prefix, name), ())
        uses = missing_steps.action(name, outputs, self.environment.registry)
        adding = f"add it: `e2i add {name} --uses {uses}`" if uses else None
        return "; or ".join(filter(None, (hint, adding))) or None

    def _output(self, uses: str) -> Iterable[Problem]:
        """Returns the problem of the path after a step, as far as its outputs are known."""
        group, (first, *_) = self.name, self.reference.path[1:]
        one = self.expanded.is_one(self.node, group)
        if not one and isinstance(first, str):
            output = next((key for key in self.reference.path[1:] if key != "outputs"), "NAME")
            return self._problem(
                "matrix-as-one",
                f'"{group}" has a matrix, so steps.{group} is a list with one entry for each combination, not one step',
                f"pass steps.{group} to an action that accepts the list (model.select),"
                f" or read one combination: steps.{group}[0].outputs.{output}",
            )
        if one and isinstance(first, int):
            written = f"steps.{group}[{first}].outputs"
            message = f'"{group}" has no matrix, so steps.{group} is one step, not a list'
            return self._problem(
                "one-as-list", message, f"refer to the output: steps.{group}.NAME", written, f"steps.{group}"
            )
        return self._member(uses, one=one)

    def _member(self, uses: str, *, one: bool) -> Iterable[Problem]:
        """Returns the problem of the first key that does not exist."""
        group, keys = self.name, self.reference.path[1:]
        given = self.environment.of_step(group, self.node)
        if one and keys[0] == "outputs" and len(keys) > 1 and types.inside(given, "outputs") is None:
            return self._problem(
                "unknown-output",
                "a reference to an output has no .outputs here",
                f"write steps.{group}.{keys[1]}",
                f"steps.{group}.outputs",
                f"steps.{group}",
            )
        for depth, key in enumerate(keys, start=1):
            inner = types.inside(given, key)
            if inner is not None:
                given = inner
                continue
            known, parent = types.members(given), Reference("steps", self.reference.path[:depth])
            name = str(key)
            if depth == 1 and one:
                message = f'{uses} (step "{group}") has no output "{name}"'
            elif known:
                message = f'{parent} has no "{name}"'
            else:
                message = f'{parent} is {types.describe(given)}, so it has no "{name}"'
            meant = suggest.certain(name, known)
            hint = suggest.hint(name, known, most=12)
            return self._problem("unknown-output", message, hint, name, meant, str(parent))
        return ()


_MORE_BRACES = re.compile(r"\s*\$\{{3,}\s*(\w+(?:\.\w+)+)\s*\}{2,}\s*")
"""A plain reference in more than two braces."""
_OTHER_ROOTS = {
    **dict.fromkeys(("inputs", "input", "parameters", "parameter", "vars", "var", "args", "config"), "params"),
    **dict.fromkeys(("jobs", "tasks", "nodes", "outputs", "needs", "stages"), "steps"),
}
"""Names in scope in other tools, and ours with the same members."""
_UNCLOSED = re.compile(r"(\$\{\{\s*\w+(?:\.\w+)+)\s*\}?\s*")
"""A plain reference that lacks one brace or both."""

CODES = (
    Code(
        "bad-expression",
        "An expression that cannot be read or evaluated",
        "The text between `${{` and `}}` is not an expression, uses a forbidden feature, or fails for the values known "
        "so far. Expressions are limited: no calls, loops or huge results.",
        "Fix the expression. Move a large computation to a step.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ 1 + }}"}}\n',
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ 1 + 1 }}"}}\n',
    ),
    Code(
        "matrix-as-one",
        "A step with a matrix, used like a single step",
        "A step with a matrix runs once for each combination. For a step without that matrix it is a list. Each entry "
        "has the values of the combination under `matrix` and its results under `outputs`.",
        "Pass the list to an action that accepts one (model.select), read one combination, or use the same matrix in "
        "both steps.",
        'steps:\n  a: {uses: debug.echo, matrix: {n: [1, 2]}, with: {value: "${{ matrix.n }}"}}\n'
        '  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}\n',
        'steps:\n  a: {uses: debug.echo, matrix: {n: [1, 2]}, with: {value: "${{ matrix.n }}"}}\n'
        '  b: {uses: debug.echo, with: {value: "${{ steps.a[0].outputs.value }}"}}\n',
    ),
    Code(
        "one-as-list",
        "A step without a matrix, used like a list",
        "Only a step with a matrix is a list of its combinations.",
        "Refer to the output: steps.ID.NAME.",
        "steps:\n  a: {uses: debug.echo, with: {value: 1}}\n"
        '  b: {uses: debug.echo, with: {value: "${{ steps.a[0].outputs.value }}"}}\n',
        "steps:\n  a: {uses: debug.echo, with: {value: 1}}\n"
        '  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}\n',
    ),
    Code(
        "unknown-step",
        "A step that does not exist",
        "`needs` and `steps.ID` refer to steps of the same spec.",
        "Correct the id.",
        "steps:\n  load: {uses: debug.echo}\n  b: {uses: debug.echo, needs: [laod]}\n",
        "steps:\n  load: {uses: debug.echo}\n  b: {uses: debug.echo, needs: [load]}\n",
    ),
    Code(
        "unknown-output",
        "An output that the step does not have",
        "The outputs are defined by the action, and the fields by the type of artifact.",
        "`e2i catalog ACTION` lists the outputs.",
        'steps:\n  a: {uses: debug.echo}\n  b: {uses: debug.echo, with: {value: "${{ steps.a.valeu }}"}}\n',
        'steps:\n  a: {uses: debug.echo}\n  b: {uses: debug.echo, with: {value: "${{ steps.a.value }}"}}\n',
    ),
    Code(
        "unknown-parameter",
        "A parameter that the spec does not declare",
        "`params.NAME` and `-p NAME=VALUE` refer to parameters declared under `params:`.",
        "Correct the name, or declare the parameter.",
        "params:\n  trials: {type: integer, default: 20}\n"
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ params.trails }}"}}\n',
        "params:\n  trials: {type: integer, default: 20}\n"
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ params.trials }}"}}\n',
    ),
    Code(
        "unknown-matrix-name",
        "A name that the step's matrix does not have",
        "`matrix.NAME` is a value of the current combination of the step's own matrix.",
        "Use a name in the matrix. A step without a matrix has no such names.",
        'steps:\n  a: {uses: debug.echo, matrix: {fold: [1, 2]}, with: {value: "${{ matrix.flod }}"}}\n',
        'steps:\n  a: {uses: debug.echo, matrix: {fold: [1, 2]}, with: {value: "${{ matrix.fold }}"}}\n',
    ),
    Code(
        "unknown-env",
        "A variable that specs may not read",
        "`env.NAME` reads only the environment variables that the operator lists under `env:` in config/.",
        "Ask the operator to list the name, or use a parameter.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ env.HOME }}"}}\n',
        "params:\n  home: {type: string, default: here}\n"
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ params.home }}"}}\n',
    ),
    Code(
        "unknown-secret",
        "A secret that does not exist",
        "`secrets.NAME` refers to a secret that the operator lists under `secrets:` in config/.",
        "Ask the operator to list the secret.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ secrets.token }}"}}\n',
        "steps:\n  a: {uses: debug.echo, with: {value: none needed}}\n",
    ),
    Code(
        "unknown-run-name",
        "An unknown field of the run",
        "Expressions may read only the fields of `run` listed in the hint.",
        "Use one of them.",
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ run.user }}"}}\n',
        'steps:\n  a: {uses: debug.echo, with: {value: "${{ run.id }}"}}\n',
    ),
)
