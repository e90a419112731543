"""Reads test files. In: paths. Out: ``LoadedFile``s, or the problems of their shape with location and hint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from msgspec import Struct
from msgspec.structs import replace
from pydantic import BaseModel, ValidationError

from e2i import regular
from e2i.errors import BadInput
from e2i.spec import document, fixes, suggest
from e2i.spec.document import Document
from e2i.spec.problems import Problem
from e2i.spec.validation import Path as Keys
from e2i.spec.validation import mistakes
from e2i.spec.wording import expected, wording
from e2i.testing.models import Case, CaseFile

SUFFIXES = (".test.yaml", ".test.yml")
START = "a test file starts with tests: ./NAME.yaml"
MOST_FILES = 1_000
"""Limit on the test files of one folder."""


class LoadedFile(Struct, frozen=True):
    """A test file of valid shape."""

    path: Path
    name: str
    """The path as the user typed it."""
    content: CaseFile
    document: Document

    @property
    def spec(self) -> str:
        """The path of the spec, written like the path of the test file."""
        return (Path(self.name).parent / self.content.tests).as_posix()

    def cases(self) -> Iterator[tuple[str, Case]]:
        """Yields each case over the defaults, with its name."""
        for name, case in self.content.cases.items():
            yield name, self.content.merged(case)


def find(paths: Sequence[str]) -> list[str]:
    """Returns the test files that the paths name: files, folders with all below, or specs with a test file beside them.

    Raises BadInput when a path names none.
    """
    found: dict[str, None] = {}
    for text in paths:
        named = list(_named(text))
        if not named:
            hint = "a test file is NAME.test.yaml beside NAME.yaml; see docs/testing.md"
            raise BadInput(f"there is no test file at {text!r}", code="no-such-test", hint=hint)
        found.update(dict.fromkeys(named))
    return list(found)


def _named(text: str) -> Iterable[str]:
    path = Path(text)
    if path.is_dir():
        inside = sorted(file for file in path.rglob("*.test.y*ml") if not _is_hidden(file.relative_to(path)))
        if len(inside) > MOST_FILES:
            raise BadInput(
                f"{text} has more than {MOST_FILES:,} test files", code="no-such-test", hint="name some of them"
            )
        return [str(file) for file in inside]
    if text.endswith(SUFFIXES):
        return [text] if path.is_file() else []
    beside = [str(path.with_suffix("")) + suffix for suffix in SUFFIXES]
    return [file for file in beside if Path(file).is_file()]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def read(name: str) -> tuple[LoadedFile | None, list[Problem]]:
    """Reads one test file. Raises BadInput when it cannot be read."""
    try:
        text = regular.read(Path(name), regular.SPEC)
    except OSError as error:
        raise BadInput(f"cannot read the test file {name!r}: {error.strerror or error}", code="no-such-test") from error
    return parse(text, name)


def parse(text: bytes | str, name: str) -> tuple[LoadedFile | None, list[Problem]]:
    """Returns the test file with this text, or the problems of its shape."""
    found, problems = document.read(text, name)
    if found is None:
        return None, [replace(one, hint=START) if one.code in ("empty", "not-a-mapping") else one for one in problems]
    try:
        content = CaseFile.model_validate(found.data)
    except ValidationError as error:
        return None, sorted(_problems(error, found), key=lambda problem: problem.sort_key)
    return LoadedFile(Path(name).absolute(), name, content, found), []


def _problems(error: ValidationError, found: Document) -> Iterator[Problem]:
    details = mistakes(error, found.data)
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    # A mistyped key is one mistake: the missing right key is not reported separately.
    mistyped = {(*path[:-1], suggest.certain(str(path[-1]), keys_at(path[:-1]))) for path in unknown}
    for detail in details:
        path: Keys = detail["loc"]
        if detail["type"] == "missing" and path in mistyped:
            continue
        match detail["type"]:
            case "extra_forbidden":
                known = keys_at(path[:-1])
                hint = suggest.hint(str(path[-1]), known, most=20)
                fix = fixes.renamed(path, known, found.value(path[:-1]) or ())
                yield found.problem("unknown-key", path, f'unknown key "{path[-1]}"', hint, key=True, fixes=fix)
            case "missing":
                message = f'the key "{path[-1]}" is missing'
                yield found.problem("missing-key", path[:-1], message, key=len(path) > 1)
            case _ if path and path[-1] == "[key]":
                message = f'"{str(path[-2])[:80]}" is not a name that is expected here'
                hint = "outputs are written as STEP.OUTPUT" if path[-3:-2] == ("tables",) else None
                yield found.problem("bad-name", path[:-1], message, hint, key=True)
            case _:
                hint, fix = expected(detail, path)
                yield found.problem("bad-value", path, wording(detail, path), hint, fixes=fix)


def keys_at(path: Keys) -> list[str]:
    """Returns the keys allowed in a mapping at this path of a test file."""
    model: Any = CaseFile
    for key in path:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            model = _model_in(model)
            continue
        field = model.model_fields.get(str(key))
        if field is None:
            return []
        model = field.annotation
        if not isinstance(model, type) and not _is_collection(model):
            model = _model_in(model)
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _is_collection(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) in (dict, tuple, list)


def _model_in(annotation: Any) -> Any:
    """Returns the model among the arguments of a type such as ``dict[str, Case]`` or ``Fault | None``."""
    for argument in get_args(annotation):
        if isinstance(argument, type) and issubclass(argument, BaseModel):
            return argument
    return None
