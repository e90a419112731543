"""Option values as typed go in; data comes out, or an error that names the option."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from e2i.errors import BadInput
from e2i.spec import document


def parameters(given: Iterable[str]) -> dict[str, Any]:
    """``NAME=VALUE`` texts as a mapping; values are read as YAML. Raises BadInput."""
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BadInput(f"-p {text!r} is not NAME=VALUE", code="bad-option", hint="write -p trials=20")
        if name in values:
            raise BadInput(f"-p {name} is given twice", code="bad-option")
        found, problems = document.read_value(value, f"-p {name}")
        if problems:
            raise BadInput(f"-p {name}: {problems[0].message}", code="bad-option", hint=problems[0].hint)
        values[name] = found
    return values


def write_plan(path: Path, document: Mapping[str, Any]) -> None:
    """Writes what ``plan_document`` reads. Raises BadInput when the file cannot be written."""
    try:
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise BadInput(f"cannot write the plan {path}: {error.strerror}", code="bad-option") from error


def plan_document(path: Path) -> dict[str, Any]:
    """The plan that ``e2i plan -o`` wrote. Raises BadInput when the file is not one."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(
            f"cannot read the plan {path}: {error}", code="bad-plan", hint="write one by e2i plan -o"
        ) from error
    if not isinstance(found, dict) or not isinstance(found.get("digest"), str) or found.get("schema_version") != 1:
        raise BadInput(f"{path} is not a plan", code="bad-plan", hint="write one by e2i plan -o")
    return found
