"""Detects secrets that are written out. In: a spec, and the values of its parameters. Out: problems for texts that
should be references.

A spec is committed, planned, logged and reported: it may only contain the names of secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from e2i.documents import ParamValues
from e2i.spec.expansion.nodes import Path
from e2i.spec.expressions import has_expression
from e2i.spec.load import LoadedSpec
from e2i.spec.params import parameter_values
from e2i.spec.problems import Code, Problem

if TYPE_CHECKING:
    from e2i.check.context import CheckContext

NAMES = re.compile(
    r"(.*[_-])?(password|passwd|passphrase|secret|token|credentials?|(api|access|private|secret)[_-]?key)",
    re.IGNORECASE,
)
"""Keys whose text is a secret."""
SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_[A-Za-z0-9_]{36}"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10}|\bsk-[A-Za-z0-9_-]{32}|\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,100}:[^\s/@]{1,100}@"
)
"""The format of well-known services' secrets, and passwords in URLs."""
PLACEHOLDER = "$secret"
"""The key with which plans and fingerprints name a secret."""
HINT = "write ${{ secrets.NAME }}; the operator lists secrets under secrets: in config/"


def check(context: CheckContext) -> Iterator[Problem]:
    """Yields problems of texts in ``with`` and of the values of parameters, passed or default."""
    spec, *included = context.expanded.loaded.files()
    yield from _check_file(spec, context.expanded.params)
    for included_spec in included:
        defaults, _ = parameter_values(included_spec.spec, included_spec.document, ParamValues())
        yield from _check_file(included_spec, defaults)


def _check_file(loaded: LoadedSpec, values: ParamValues) -> Iterator[Problem]:
    found: list[tuple[Path, str]] = []
    for name, value in values.items():
        path: Path = ("params", name)
        path = (*path, "default") if loaded.document.has((*path, "default")) else path
        found += [(path, what) for _, what in _written(name, value, ())]
    for section, group, step in loaded.spec.every_step():
        for name, value in step.with_.items():
            found += _written(name, value, (section, group, "with", name))
    for path, what in found:
        yield loaded.document.problem("secret-literal", path, f"{what} is written out", HINT)


def _written(key: str, value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yields the locations of secrets in a value, with a description that does not repeat the secret."""
    if isinstance(value, str):
        if value and not has_expression(value) and (NAMES.fullmatch(key) or SHAPES.search(value[:100_000])):
            yield path, f'the secret "{key}"'
    elif isinstance(value, int | float) or value is None:
        return
    elif isinstance(value, Mapping):
        if PLACEHOLDER in value:
            yield path, f'"{PLACEHOLDER}"'
        for name, item in value.items():
            yield from _written(str(name), item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _written(key, item, (*path, index))


CODES = (
    Code(
        "secret-literal",
        "A secret that is written out",
        "A spec is committed, planned, logged and reported. A value that is called a password, a token or a key, or "
        "looks like one, may only be a reference.",
        "Have the operator list it under `secrets:` in config/, and write ${{ secrets.NAME }}.",
        "steps:\n  a: {uses: debug.echo, with: {value: {password: hunter2}}}\n",
        "steps:\n  a: {uses: debug.echo, with: {value: {user: hunter}}}\n",
    ),
)
