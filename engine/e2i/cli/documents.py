"""A document goes in; its JSON text comes out, in which nothing can steer a terminal, whatever a spec or data holds."""

from __future__ import annotations

import json
import re
from typing import Any

import click

from e2i import compact


def show(document: Any) -> None:
    """Prints the document that a command was asked for, for programs and still readable."""
    click.echo(dumps(document, indent=1))


def dumps(document: Any, indent: int | None = None) -> str:
    """JSON, without ``indent`` on one line. Controls, marks that reorder text and lone surrogates are escaped."""
    if indent is None:
        text = compact.dumps(document, spaced=True)
    else:
        text = json.dumps(document, indent=indent, ensure_ascii=False)
    return _STEERING.sub(_escaped, text)


def _escaped(char: re.Match[str]) -> str:
    return f"\\u{ord(char[0]):04x}"


_STEERING = re.compile(
    "[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""What JSON may hold as it is and a terminal must not be sent; JSON itself escapes what is below a space."""
