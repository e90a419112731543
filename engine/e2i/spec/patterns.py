"""Matches a spec's regular expression against a whole text, in linear time.

Python's own ``re`` can run forever on a pattern such as ``(a+)+$``, and a machine may have written the spec.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic_core import SchemaError, SchemaValidator, core_schema


def matches(pattern: str, text: str) -> bool:
    """Returns True when the whole text matches. Raises ValueError for an invalid pattern, or one with look-around."""
    return search(f"^(?:{pattern})$")(text)


def search(pattern: str) -> Callable[[str], bool]:
    """Returns a function that searches a text for the pattern. Raises the same errors as ``matches``."""
    try:
        validator = SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError as error:
        reason = [line.strip() for line in str(error).splitlines() if line.strip()][-1]
        raise ValueError(f"not a supported regular expression: {reason.removeprefix('error: ')}") from error
    return validator.isinstance_python
