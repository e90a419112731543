"""Public text is plain technical English: words that a reader of other tools would stumble over do not occur in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RETIRED = re.compile(
    r"\b(mend(s|ed|ing)?|anew|couriers?|(goes|going|gone|went) on with|carr(y|ies|ied|ying) out|set(s|ting)? aside|whoever"
    r"|for want of|made again|(is|are|was|were) told|surroundings|undertakings?|damaged|rotten|taken? up|foresight"
    r"|foresee[ns]?|tickets?|culprit)\b",
    re.IGNORECASE,
)
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
OTHERS = [
    *sorted((ROOT / "schemas").glob("*.json")),
    *sorted((ROOT / "specs").glob("*.yaml")),
    *sorted((ROOT / "config").rglob("*.yaml")),
    *sorted((ROOT / "tests" / "golden").rglob("*.out")),
    *sorted((ROOT / "tests" / "golden").rglob("*.plan")),
    *sorted((ROOT / "engine").rglob("*.j2")),
]
MODULES = sorted((ROOT / "engine").rglob("*.py"))


def texts(module: Path) -> Iterator[tuple[int, str]]:
    """Every text in a module: docstrings, messages, hints, descriptions."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


@pytest.mark.parametrize("file", [*DOCUMENTS, *OTHERS], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_document_has_no_retired_word(file: Path) -> None:
    lines = file.read_text("utf-8").splitlines()
    found = [f"{number}: {line.strip()[:120]}" for number, line in enumerate(lines, start=1) if RETIRED.search(line)]
    assert found == []


def test_no_text_of_the_program_has_a_retired_word() -> None:
    found = [
        f"{module.relative_to(ROOT)}:{line}: {word[0]}"
        for module in MODULES
        for line, text in texts(module)
        if (word := RETIRED.search(text))
    ]
    assert found == []
