"""Parse and check option values.

In: option values as typed. Out: data, or an error that names the option.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from e2i import regular
from e2i.documents import ParamValues, Values, plain
from e2i.errors import BadInput
from e2i.spec import document
from e2i.spec.params import CommandLineValue

if TYPE_CHECKING:
    from e2i.planning.model import PlanDocument


def parameters(given: Iterable[str]) -> ParamValues:
    """Returns ``NAME=VALUE`` texts as a mapping. Values are read as YAML; those that are no texts keep theirs.

    Raises BadInput.
    """
    values = ParamValues()
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BadInput(f"-p {text!r} is not NAME=VALUE", code="bad-option", hint="write -p trials=20")
        if name in values:
            raise BadInput(f"-p {name} is set twice", code="bad-option")
        found, problems = document.read_value(value, f"-p {name}")
        if problems and value.lstrip().startswith("#"):
            message = f"-p {name}: the value is empty, since # starts a comment"
            raise BadInput(message, code="bad-option", hint=f"""quote it: -p {name}='"{value}"'""")
        if problems:
            raise BadInput(f"-p {name}: {problems[0].message}", code="bad-option", hint=problems[0].hint)
        values[name] = found if isinstance(found, (str, list, dict)) else CommandLineValue(value.strip(), found)
    return values


def names_run(before: str, after: str) -> bool:
    """Returns whether two texts name runs rather than specs. Raises BadInput when one names a run and the other a spec.

    Specs are existing files, ``REV:PATH``, and texts that look like a path to one.
    """
    specs = [Path(text).exists() or ":" in text or text.endswith((".yaml", ".yml")) for text in (before, after)]
    if specs[0] != specs[1]:
        spec, run = (before, after) if specs[0] else (after, before)
        raise BadInput(
            f"{spec!r} is a spec and {run!r} names a run",
            code="bad-option",
            hint="pass two specs or two runs; `e2i runs` lists the runs",
        )
    return not specs[0]


def refuse_beside(option: str, others: Values) -> None:
    """Raises BadInput when one of the other options is set: the resumed run has its own values for them."""
    if given := [name for name, value in others.items() if value]:
        raise BadInput(
            f"{', '.join(given)} cannot be used with {option}: the run keeps the options that it was started with",
            code="bad-option",
            hint=f"remove the option, or run the spec without {option}: finished steps are not run again",
        )


def write_plan(path: Path, document: PlanDocument) -> None:
    """Writes a plan as ``plan_document`` reads it. Raises BadInput when the file cannot be written."""
    write_text(path, json.dumps(plain(document), indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a plan in any format. Raises BadInput when the file cannot be written."""
    try:
        regular.write(path, text.encode())
    except OSError as error:
        raise BadInput(f"cannot write the plan {path}: {error.strerror}", code="bad-option") from error


def plan_document(path: Path) -> PlanDocument:
    """Returns the plan that ``e2i plan -o`` wrote. Raises BadInput when the file is not a plan."""
    from e2i.planning import document

    try:
        return document.parse(regular.read(path, regular.PLAN))
    except BadInput as error:
        raise BadInput(f"{path}: {error.message}", code=error.code, hint=error.hint) from error
    except OSError as error:
        raise BadInput(f"cannot read the plan {path}: {error.strerror}", code="bad-plan", hint=document.HINT) from error
