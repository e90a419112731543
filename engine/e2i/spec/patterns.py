"""A spec's regular expression and a text go in; whether the whole text matches comes out, in linear time.

Python's own ``re`` can take for ever on a pattern such as ``(a+)+$``, which a spec that a machine wrote may hold.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic_core import SchemaError, SchemaValidator, core_schema


def matches(pattern: str, text: str) -> bool:
    """True when the whole text matches. Raises ValueError for what is no pattern, or needs look-around."""
    return search(f"^(?:{pattern})$")(text)


def search(pattern: str) -> Callable[[str], bool]:
    """Returns what tells whether the pattern is found anywhere in a text. Raises as ``matches`` does."""
    try:
        validator = SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError as error:
        reason = [line.strip() for line in str(error).splitlines() if line.strip()][-1]
        raise ValueError(f"not a regular expression that can be used here: {reason.removeprefix('error: ')}") from error
    return validator.isinstance_python
