"""Writes the results of test cases as JUnit XML, which CI systems show. In: ``SuiteDocument``. Out: a file."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from e2i import regular
from e2i.errors import BadInput
from e2i.testing.results import CaseResult, SuiteDocument

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML does not have."""


def write(path: Path, found: SuiteDocument) -> None:
    """Writes the file. Raises BadInput when that is not possible."""
    try:
        regular.write(path, ElementTree.tostring(tree(found), encoding="utf-8", xml_declaration=True) + b"\n")
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}", code="bad-option") from error


def tree(found: SuiteDocument) -> ElementTree.Element:
    """Returns the XML: a suite for each file, a case for each case, a failure with all expectations not met."""
    root = ElementTree.Element("testsuites", tests=str(found.passed + found.failed), failures=str(found.failed))
    for file in found.files:
        failed = sum(case.status == "failed" for case in file.cases)
        seconds = sum(case.seconds for case in file.cases)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_clean(file.file),
            tests=str(len(file.cases)),
            failures=str(failed),
            time=f"{seconds:.3f}",
        )
        for case in file.cases:
            element = ElementTree.SubElement(
                suite, "testcase", classname=_clean(file.file), name=_clean(case.name), time=f"{case.seconds:.3f}"
            )
            if case.failures:
                failure = ElementTree.SubElement(element, "failure", message=_clean(case.failures[0].message))
                failure.text = _clean(text_of(case))
    return root


def text_of(case: CaseResult) -> str:
    """Returns the expectations that a case does not meet, as text."""
    lines = []
    for failure in case.failures:
        lines.append(f"{failure.file}:{failure.line}:{failure.column}: {failure.message}")
        lines += [f"  {line}" for line in failure.lines]
    return "\n".join(lines)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
