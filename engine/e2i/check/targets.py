"""Checks that no two steps write one file: the last one would win, and which one that is depends on the run.

In: an expanded spec. Out: problems.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING

from e2i.catalog import marks
from e2i.spec.problems import Code, Problem

if TYPE_CHECKING:
    from e2i.check.context import CheckContext


def check(context: CheckContext) -> Iterator[Problem]:
    """Yields a problem for each step that writes a file which an earlier one in the spec writes."""
    writers: dict[str, str] = {}
    for node in context.expanded.nodes.values():
        found = context.authority.registry.action(node.step.uses)
        if found is None or not any(isinstance(mark, marks.WrittenFile) for _, mark in marks.of(found.params)):
            continue
        for path, mark, text in marks.found(found.params, context.expanded.known(node).values):
            if not isinstance(mark, marks.WrittenFile) or not isinstance(text, str):
                continue
            file = posixpath.normpath(text)
            other = writers.setdefault(file, node.id)
            if other != node.id:
                message = f'step "{node.id}" writes {file}, which step "{other}" writes as well'
                yield node.document.problem(
                    "written-twice", (*node.path, "with", *path), message, "write each result to a file of its own"
                )


CODES = (
    Code(
        "written-twice",
        "A file that two steps write",
        "The last of them would win, and which one that is depends on the run. A later run would write both again.",
        "Write each result to a file of its own.",
        "steps:\n  a: {uses: data.write, with: {path: out/x.json, value: 1}}\n"
        "  b: {uses: data.write, with: {path: ./out/x.json, value: 2}}\n",
        "steps:\n  a: {uses: data.write, with: {path: out/x.json, value: 1}}\n"
        "  b: {uses: data.write, with: {path: out/y.json, value: 2}}\n",
    ),
)
