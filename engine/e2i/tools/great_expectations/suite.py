"""Read an expectation suite as data. In: a YAML file or an inline list. Out: a checked ``Suite``.

Nothing here needs Great Expectations, so a suite in a spec is checked before anything runs. Anything in a suite that
could execute code is refused: row conditions that are more than comparisons, SQL, references that the library resolves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from e2i.errors import BadInput, Refused
from e2i.spec import document
from e2i.spec.document import Document
from e2i.spec.problems import Location
from e2i.spec.suggest import certain, contains_words, hint
from e2i.spec.validation import mistakes
from e2i.spec.wording import wording
from e2i.tools.great_expectations import conditions
from e2i.tools.great_expectations.conditions import PARSERS, Condition, ConditionLimitError, NoConditionError
from e2i.tools.great_expectations.kinds import KINDS, REFUSED_ARGUMENTS, REFUSED_KINDS

NAME = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$"
FOLDER = "config/expectations"
DEFAULT = "default"
"""The name that stands for the suite of a problem type, where there is no file of that name."""
DEFAULT_SUITE = "e2i_default_suite"
"""The suite of a problem type that has none of its own."""
SHIPPED = Path(__file__).parent / "suites"
LONGEST_TEXT = 2_000
"""Maximum length of one text in a suite, such as a regular expression, in characters."""

CONDITION = ("row_condition", "condition_parser")
"""Arguments that choose rows."""


class Expectation(BaseModel):
    """One expectation. Its other keys are the arguments that Great Expectations documents for its type."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    type: Annotated[str, Field(description="Name of the expectation, such as expect_column_values_to_not_be_null.")]
    severity: Annotated[Literal["critical", "warning"], Field(description="Severity of a failure: see `fail_on`.")] = (
        "critical"
    )
    notes: Annotated[
        str | None, Field(max_length=LONGEST_TEXT, description="Why it is expected; shown in reports.")
    ] = None

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the expectation's type, without the condition."""
        return {name: value for name, value in (self.model_extra or {}).items() if name not in CONDITION}

    @property
    def condition(self) -> Condition | None:
        """Return which rows are checked; None for all."""
        given = (self.model_extra or {}).get("row_condition")
        return None if given is None else conditions.read(given)

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, given: Any) -> Any:
        """Refuse the form of Great Expectations' own files, and name the one of specs as its safe fix."""
        if isinstance(given, str) and given in KINDS and not _needed(given):
            raise PydanticCustomError("other_form", "an expectation is a mapping", {"meant": {"type": given}})
        if not is_foreign(given):
            return given
        meant = flattened(given)
        said = "in a spec, the arguments of an expectation are beside its `type`, not under `kwargs`"
        raise PydanticCustomError("other_form", "{said}", {"said": said, "meant": meant})

    @field_validator("type")
    @classmethod
    def _known(cls, name: str) -> str:
        if reason := REFUSED_KINDS.get(name):
            raise PydanticCustomError("refused", "{name} is refused: {reason}", {"name": name, "reason": reason})
        if name not in KINDS:
            meant = contains_words(name, KINDS) or certain(name, KINDS)
            near = f'did you mean "{meant}"?' if meant else hint(name, KINDS)
            said = f"there is no expectation {name!r}" + (f"; {near}" if near else "")
            raise PydanticCustomError("unknown_name", "{said}", {"said": said, "meant": meant})
        return name

    @model_validator(mode="after")
    def _condition_is_data(self) -> Self:
        given = self.model_extra or {}
        try:
            held = self.condition
        except ConditionLimitError as error:
            raise ValueError(f"row_condition cannot be used: {error}") from error
        except NoConditionError as error:
            said = f"row_condition is refused: it is evaluated as code; {error}"
            raise PydanticCustomError("refused", "{said}", {"said": said}) from error
        if held is None and given.get("condition_parser") is not None:
            raise PydanticCustomError("refused", "condition_parser is refused: it belongs to row_condition")
        if given.get("condition_parser") not in (None, *PARSERS):
            raise ValueError(f"condition_parser is one of {', '.join(PARSERS)}; leave it out, as conditions are alike")
        return self

    @model_validator(mode="after")
    def _safe_and_complete(self) -> Self:
        for name, reason in REFUSED_ARGUMENTS.items():
            if name in self.arguments:
                raise PydanticCustomError("refused", "{name} is refused: {reason}", {"name": name, "reason": reason})
        if missing := [name for name in _needed(self.type) if name not in self.arguments]:
            raise ValueError(f"{self.type} needs {' and '.join(missing)}")
        for part in _parts(self.arguments):
            if isinstance(part, str) and len(part) > LONGEST_TEXT:
                raise ValueError(f"a text of more than {LONGEST_TEXT} characters")
        return self


Expectations = Annotated[tuple[Expectation, ...], Field(min_length=1, max_length=1_000)]


class Suite(BaseModel):
    """Named expectations about one table."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: Annotated[str, Field(pattern=NAME, description="Name of the suite: the name of its file.")]
    description: Annotated[str | None, Field(description="Purpose of the suite.")] = None
    expectations: Annotated[Expectations, Field(description="The expectations, in the order of the report.")]


def is_foreign(given: Any) -> bool:
    """Return True for an expectation in the form of Great Expectations' own files."""
    return isinstance(given, dict) and bool(given.keys() & {"expectation_type", "kwargs"})


def flattened(given: dict[str, Any]) -> dict[str, Any] | None:
    """Return an expectation of Great Expectations' own form in ours, or None when it says more than ours can."""
    arguments, name = given.get("kwargs", {}), canonical(given.get("expectation_type", given.get("type")))
    if not isinstance(arguments, dict) or not isinstance(name, str) or name not in KINDS:
        return None
    rest = {key: value for key, value in given.items() if key not in ("type", "expectation_type", "kwargs", "id")}
    if rest.get("meta") in (None, {}):
        rest.pop("meta", None)
    return None if rest.keys() & arguments.keys() else {"type": name, **arguments, **rest}


def canonical(name: Any) -> Any:
    """Return the library's spelling of a name: older versions wrote ``expect_column_pair_values_A_to_be_…``."""
    return name.lower() if isinstance(name, str) and name.lower() in KINDS else name


def _needed(kind: str) -> tuple[str, ...]:
    """Return the arguments that name the columns of an expectation."""
    if kind.startswith("expect_column_pair_"):
        return ("column_A", "column_B")
    if kind.startswith(("expect_compound_", "expect_multicolumn_", "expect_select_column_")):
        return ("column_list",)
    return ("column",) if kind.startswith("expect_column_") else ()


def path_of(name: str) -> str:
    """Return the path of the suite of that name in the workspace."""
    return f"{FOLDER}/{name}.yaml"


def load(path: Path, name: str) -> Suite:
    """Return the suite in a file. Raises BadInput naming every error, or Refused for one that would execute code."""
    if not path.is_file():
        known = [file.stem for file in path.parent.glob("*.yaml")]
        raise BadInput(
            f"there is no suite {name!r}: {path_of(name)} does not exist", code="unknown-suite", hint=hint(name, known)
        )
    return read(path.read_bytes(), name)


def read(text: bytes, name: str, *, is_written: bool = True) -> Suite:
    """Return the suite in the text of its file. Raises as ``load`` does."""
    return parsed(text, name, is_written=is_written)[0]


def parsed(text: bytes, name: str, *, is_written: bool = True, file: str = "") -> tuple[Suite, Document]:
    """Return the suite in the text of its file, and the locations of its values. Raises as ``load`` does.

    Errors have line and column, unless the text is not ``is_written`` by a person: a program made it.
    """
    content, problems = document.read(text, file or path_of(name))
    if content is None or problems:
        raise BadInput("; ".join(str(problem) for problem in problems), code="bad-suite")
    try:
        suite = Suite.model_validate(content.data)
    except ValidationError as error:
        found = mistakes(error, content.data)
        kind = Refused if any(detail["type"] == "refused" for detail in found) else BadInput
        raise kind(_listed(found, content, is_written), code="bad-suite") from error
    if suite.name != name:
        where = content.location(("name",)) if is_written else path_of(name)
        raise BadInput(f"{where}: the suite has the name {suite.name!r}", code="bad-suite", hint=f"write name: {name}")
    return suite, content


def _listed(found: Sequence[Mapping[str, Any]], content: Document, is_written: bool) -> str:
    """Return the errors of a suite, each with its location; those of a generated text with its path alone."""
    details = [f"{'.'.join(map(str, detail['loc'])) or 'the suite'}: {_said(detail)}" for detail in found[:10]]
    if not is_written:
        return f"{content.file}: {'; '.join(details)}"
    places = [_location(content, detail) for detail in found]
    return "; ".join(f"{place}: {detail}" for place, detail in zip(places, details, strict=False))


def _location(content: Document, detail: Mapping[str, Any]) -> Location:
    path = tuple(detail["loc"])
    if detail["type"] == "refused" and isinstance(content.value(path), dict):  # the argument is what is refused
        named = [
            key for key in content.value(path) if re.search(rf"(^|\s){re.escape(str(key))} is refused", detail["msg"])
        ]
        path += tuple(named[:1])
    return content.location(path, key=detail["type"] == "extra_forbidden")


def _said(detail: Mapping[str, Any]) -> str:
    """Return pydantic's message in plain words; one of our own as it is."""
    match detail["type"]:
        case "refused" | "unknown_name" | "other_form" | "value_error":
            return str(detail["msg"]).removeprefix("Value error, ")
        case "extra_forbidden":
            near = hint(str(detail["loc"][-1]), Suite.model_fields)
            return f"unknown key; {near}" if near else "unknown key"
        case "string_pattern_mismatch":
            return "use only letters, digits, - and _, at most 64, and do not begin with -"
        case "too_short":
            return "a suite has at least 1 item here"
        case "missing":
            return "is missing"
        case _:
            return wording(detail, ())


def shipped(name: str) -> Suite | None:
    """Return the suite of that name that e2i ships; None when there is none."""
    text = shipped_text(name)
    return None if text is None else read(text, name)


def shipped_text(name: str) -> bytes | None:
    """Return the file of a suite that e2i ships; None when there is none."""
    file = SHIPPED / f"{name}.yaml"
    return file.read_bytes() if re.fullmatch(NAME, name) and file.is_file() else None


def _parts(value: Any) -> Iterator[Any]:
    """Yield every value inside a value. Raises for a key that the library or JSON Schema would resolve: $ref."""
    if isinstance(value, dict):
        for key, item in value.items():
            if str(key).startswith("$"):
                raise PydanticCustomError("refused", "{name} is refused: it is a reference", {"name": str(key)[:80]})
            if key == "patternProperties":
                raise ValueError("patternProperties is not supported: its patterns could take unlimited time")
            yield from _parts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _parts(item)
    else:
        yield value
