"""Reads included specs. In: the workspace's files. Out: a reader of the specs that steps include."""

from __future__ import annotations

from msgspec import Struct

from e2i.catalog.files import Files
from e2i.check import paths, policy
from e2i.check.policy import Authority
from e2i.spec import suggest
from e2i.spec.included import NoIncludedSpecError, ReadIncluded


class IncludedFiles(Struct, frozen=True):
    """The files from which included specs are read, and a lookup of their paths."""

    files: Files
    look: paths.Look


def reader(given: IncludedFiles, authority: Authority, read_already: int = 0) -> ReadIncluded:
    """Returns a reader of included specs at paths that specs may read. ``read_already`` bytes count together with
    those of the included specs: their sum is limited like the size of one spec.
    """
    most = authority.rules.budgets.bytes
    files = given.files
    spent = read_already

    def read(file: str) -> bytes:
        nonlocal spent
        if problem := paths.check(file, authority.rules, given.look):
            raise NoIncludedSpecError(problem.message, problem.hint)
        try:
            opened = files.open(file)
        except OSError as error:
            raise NoIncludedSpecError(str(error), "an included spec must be in the workspace") from error
        if opened is None:
            folder, _, name = file.rpartition("/")
            near = [other for other in files.names(folder or ".") if other.endswith((".yaml", ".yml"))]
            raise NoIncludedSpecError(f"there is no file {file}", suggest.hint(name, near), name=name, known=near)
        with opened:
            content = opened.read(most - spent + 1)
        spent += len(content)
        if beyond := policy.size(spent, "the spec and its included specs have", authority):
            raise NoIncludedSpecError(beyond.message, beyond.hint)
        return content

    return read
