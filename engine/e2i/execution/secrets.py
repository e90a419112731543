"""Secrets stay names until the step that uses them runs.

In: parameters with ``Secret`` in them, and the operator's environment. Out: parameters with values, and the values
themselves. What leaves a step is masked by ``e2i.workers.masking``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2i.errors import Refused
from e2i.spec.expressions import Secret
from e2i.spec.nodes import SCALAR


def reveal(value: Any, declared: Mapping[str, str], environ: Mapping[str, str]) -> tuple[Any, set[str]]:
    """The value with every secret replaced by what its environment variable holds, and the texts that were filled in.

    ``declared`` maps the names that specs may use to variables. Only a ``Secret`` is replaced: data that merely looks
    like one stays data. Raises Refused for a name that is not declared, and for one that is not set.
    """
    revealed: set[str] = set()

    def fill(item: Any) -> Any:
        if isinstance(item, SCALAR):
            return item
        match item:
            case Secret():
                text = _secret(item.name, declared, environ)
                revealed.add(text)
                return text
            case dict():
                return {key: fill(below) for key, below in item.items()}
            case list():
                return [fill(below) for below in item]
        return item

    return fill(value), revealed


def values(declared: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """The texts of all declared secrets that are set, sorted."""
    return tuple(sorted({environ[variable] for variable in declared.values() if environ.get(variable)}))


def _secret(name: str, declared: Mapping[str, str], environ: Mapping[str, str]) -> str:
    if name not in declared:
        raise Refused(
            f"the secret {name!r} is not one that specs may use here",
            code="secret-refused",
            hint="the operator lists secrets under `secrets:` in config/",
        )
    if declared[name] not in environ:
        raise Refused(f"the secret {name!r} is not set", code="secret-unset", hint=f"set {declared[name]}")
    return environ[declared[name]]
