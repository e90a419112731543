"""Secrets stay names until the step that uses them runs, and leave it as ``***``.

In: parameters with placeholders; what steps say. Out: parameters with values; the same without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from e2i.errors import Refused
from e2i.execution.executor import Failure

PLACEHOLDER = "$secret"
MASK = "***"
SHORTEST = 8
"""Characters that a secret must have to be looked for inside other text: digests must not be hit by chance."""


def reveal(value: Any, declared: Mapping[str, str], environ: Mapping[str, str]) -> Any:
    """The value with every placeholder replaced by what its environment variable holds.

    ``declared`` maps the names that specs may use to variables. Raises Refused for any other name, and for an unset
    one.
    """
    if isinstance(value, dict):
        if value.keys() == {PLACEHOLDER}:
            return _secret(str(value[PLACEHOLDER]), declared, environ)
        return {key: reveal(item, declared, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item, declared, environ) for item in value]
    return value


def values(declared: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """The texts of all declared secrets that are set, longest first."""
    found = {environ[variable] for variable in declared.values() if environ.get(variable)}
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


def mask(value: Any, secrets: tuple[str, ...]) -> Any:
    """Plain data or a failure without secrets in its texts. Keys of mappings stay as they are."""
    match value:
        case str():
            for secret in secrets:
                value = MASK if value == secret else value.replace(secret, MASK) if len(secret) >= SHORTEST else value
            return value
        case dict():
            return {key: mask(item, secrets) for key, item in value.items()}
        case list():
            return [mask(item, secrets) for item in value]
        case Failure(message=message, hint=hint, details=details):
            shown = {"message": mask(message, secrets), "hint": mask(hint, secrets), "details": mask(details, secrets)}
            return replace(value, **shown)
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
