"""Secrets stay names until the step that uses them runs. In: parameters with placeholders. Out: parameters with values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2i.errors import Refused

PLACEHOLDER = "$secret"


def reveal(value: Any, declared: Mapping[str, str], environ: Mapping[str, str]) -> Any:
    """The value with every placeholder replaced by what its environment variable holds.

    ``declared`` maps the names that specs may use to variables. Raises Refused for any other name, and for an unset one.
    """
    if isinstance(value, dict):
        if value.keys() == {PLACEHOLDER}:
            return _secret(str(value[PLACEHOLDER]), declared, environ)
        return {key: reveal(item, declared, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item, declared, environ) for item in value]
    return value


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
