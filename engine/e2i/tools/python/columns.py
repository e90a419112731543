"""Check a call while planning, by the text of the function. In: known parameters, files. Out: outputs and problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from e2i.catalog.columns import ColumnProblem, Flow, Given, Known, Shape, Shapes
from e2i.catalog.files import Files
from e2i.catalog.shapes import describe, mismatch
from e2i.spec.suggest import certain, few

if TYPE_CHECKING:
    from e2i.tools.python.signature import Signature

LARGEST = 1 << 20
"""Maximum bytes of a file of code."""


def call(given: Given, files: Files) -> Flow:
    """Return what the function returns, and problems of its name, its arguments and the files that it reads."""
    from e2i.tools.python import promise  # with the parser, which only this action needs

    problems = list(_unmatched(given["reads"], files))
    of, declared = f"{given['function']} in {given['file']}", given["outputs"]
    signature, unfound = find(given["file"], given["function"], files)
    problems += unfound
    known = promise.of(declared, signature) if isinstance(declared, Mapping) else None
    if signature is not None:
        problems += _wrong_arguments(signature, given["arguments"], of)
        if isinstance(declared, Mapping) and known is not None:
            problems += _not_returned(signature, declared, known.outputs.inside, of)
    outputs: dict[str, Known] = {}
    if known is not None:
        outputs = {"value": known.value, "table": known.table, "outputs": (known.outputs,)}
    return Flow(outputs, problems)


def _unmatched(patterns: Any, files: Files) -> Iterator[ColumnProblem]:
    """Yield a problem for each pattern that matches no file, or too many."""
    for index, pattern in enumerate(patterns) if isinstance(patterns, list | tuple) else ():
        if not isinstance(pattern, str):
            continue
        try:
            found = files.glob(pattern)
        except OSError as error:
            yield ColumnProblem(("reads", index), "too-large", str(error), hint="name fewer files")
            continue
        if found is not None and not found:
            hint = "paths are relative to the workspace's root; hidden files match no pattern"
            yield ColumnProblem(("reads", index), "no-such-file", f'no file matches "{pattern}"', hint=hint)


def find(file: Any, function: Any, files: Files) -> tuple[Signature | None, list[ColumnProblem]]:
    """Return the function's signature, as far as it can be known, and the problem of a missing file or function."""
    from e2i.tools.python import signature

    if not isinstance(file, str) or not isinstance(function, str):
        return None, []
    try:
        code = _code(file, files)
        return (None if code is None else signature.read(code, function)), []
    except _NoFileError as error:
        hint = None if error.near else "paths are relative to the workspace's root"
        return None, [ColumnProblem(("file",), "no-such-file", f"there is no file {file}", file, error.near, hint=hint)]
    except signature.NoFunctionError as error:
        message = f'{file} has no function "{function}"'
        return None, [ColumnProblem(("function",), "no-such-function", message, function, error.known)]
    except SyntaxError:  # the run shows the line
        return None, []


class _NoFileError(Exception):
    """There is no such file. ``near`` are the paths of Python files beside it."""

    def __init__(self, near: list[str]) -> None:
        super().__init__()
        self.near = near


def _code(file: str, files: Files) -> bytes | None:
    """Return the content of a file of code; None when it must not or cannot be read. Raises _NoFileError."""
    try:
        opened = files.open(file)
        if opened is None:
            folder, slash, _ = file.rpartition("/")
            raise _NoFileError(
                [f"{folder}{slash}{name}" for name in files.names(folder or ".") if name.endswith(".py")]
            )
        with opened:
            code = opened.read(LARGEST + 1)
    except OSError:  # the policy reports it
        return None
    return code if len(code) <= LARGEST else None


def _wrong_arguments(signature: Signature, arguments: Any, of: str) -> Iterator[ColumnProblem]:
    """Yield problems of arguments that the function does not have, needs, or does not accept."""
    if not isinstance(arguments, Mapping):
        return
    known = signature.parameters
    for name, value in arguments.items():
        if name not in known:
            if not signature.open:
                message = f'{of} has no parameter "{name}"'
                path = ("arguments", name)
                yield ColumnProblem(path, "unknown-action-parameter", message, name, list(known), at_key=True)
        elif wrong := mismatch(value, known[name].shapes):
            where, what = wrong
            message = f'"{name}" of {of} accepts {describe(known[name].shapes)}: {what}'
            yield ColumnProblem(("arguments", name, *where), "wrong-type", message)
    meant = {certain(name, known) for name in arguments if name not in known}
    missing = [name for name, one in known.items() if one.required and name not in arguments and name not in meant]
    if missing:
        message = f"{of} needs the argument{'s' if len(missing) > 1 else ''} {few(missing)}"
        yield ColumnProblem(("arguments",), "missing-action-parameter", message, hint="add it under arguments")
    if any(shape.type == "list" and _holds_table(shape) for shape in signature.returned) and not signature.entries:
        message = f"{of} returns tables in a list or tuple, where they have no names"
        yield ColumnProblem(("function",), "wrong-type", message, hint="return them as a mapping by name")
    if signature.by_position:
        message = f"{of} takes {few(signature.by_position)} by position only, and a step passes arguments by name"
        yield ColumnProblem(("function",), "wrong-type", message, hint="remove the / from its parameters")


def _not_returned(
    signature: Signature, declared: Mapping[str, Any], shapes: Mapping[Any, Shapes], of: str
) -> Iterator[ColumnProblem]:
    """Yield a problem for each declared output that the function's annotation contradicts."""
    entries = signature.entries
    if entries is None:
        return
    for name in declared:
        path = ("outputs", name)
        if name not in entries.inside:
            message = f'{of} returns no "{name}"'
            yield ColumnProblem(path, "unknown-output", message, name, list(map(str, entries.inside)), at_key=True)
        elif not _overlap(shapes[name], entries.inside[name]):
            message = f'"{name}" of {of} is {describe(entries.inside[name])}, not {describe(shapes[name])}'
            yield ColumnProblem(path, "wrong-type", message)


def _holds_table(shape: Shape) -> bool:
    inner = (*(shape.rest or ()), *(item for shapes in shape.inside.values() for item in shapes))
    return any(item.type == "table" for item in inner)


def _overlap(one: Shapes, other: Shapes) -> bool:
    names, others = {shape.type for shape in one}, {shape.type for shape in other}
    return bool("any" in names | others or names & others or {"integer", "number"} <= names | others)
