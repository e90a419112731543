"""Option values as typed go in; data comes out, or an error that names the option."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from e2i import regular
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


def names_run(before: str, after: str) -> bool:
    """Whether two texts name runs; False: specs. Raises BadInput when one names a run and the other a spec.

    A spec is a file that is there, ``REV:PATH``, or what looks like the path of one.
    """
    specs = [Path(text).exists() or ":" in text or text.endswith((".yaml", ".yml")) for text in (before, after)]
    if specs[0] != specs[1]:
        spec, run = (before, after) if specs[0] else (after, before)
        raise BadInput(
            f"{spec!r} is a spec and {run!r} names a run",
            code="bad-option",
            hint="give two specs or two runs; `e2i runs` lists the runs",
        )
    return not specs[0]


def refuse_beside(option: str, others: Mapping[str, object]) -> None:
    """Raises BadInput when one of the other options was given: the run has its own."""
    if given := [name for name, value in others.items() if value]:
        raise BadInput(
            f"{option} takes what that run was started with: {', '.join(given)} does not go with it",
            code="bad-option",
            hint=f"leave it out, or run the spec without {option}: finished steps are not repeated",
        )


def write_plan(path: Path, document: Mapping[str, Any]) -> None:
    """Writes what ``plan_document`` reads. Raises BadInput when the file cannot be written."""
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a plan in any form. Raises BadInput when the file cannot be written."""
    try:
        regular.write(path, text.encode())
    except OSError as error:
        raise BadInput(f"cannot write the plan {path}: {error.strerror}", code="bad-option") from error


def plan_document(path: Path) -> dict[str, Any]:
    """The plan that ``e2i plan -o`` wrote. Raises BadInput when the file is not one."""
    from e2i.planning import document

    try:
        return document.parse(regular.read(path, regular.PLAN))
    except BadInput as error:
        raise BadInput(f"{path}: {error.message}", code=error.code, hint=error.hint) from error
    except OSError as error:
        raise BadInput(f"cannot read the plan {path}: {error.strerror}", code="bad-plan", hint=document.HINT) from error
