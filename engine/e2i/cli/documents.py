"""Print JSON documents that cannot steer a terminal, whatever a spec or data contains.

In: a document. Out: its JSON text.
"""

from __future__ import annotations

import json
import re
from typing import Any

import click

from e2i import compact
from e2i.documents import plain


def show(document: Any) -> None:
    """Prints the JSON document of a command, indented to stay readable."""
    click.echo(dumps(document, indent=1))


def dumps(document: Any, indent: int | None = None) -> str:
    """Returns JSON, without ``indent`` on one line. Control characters, marks that reorder text and lone surrogates are
    escaped.
    """
    if indent is None:
        text = compact.dumps(document, spaced=True)
    else:
        text = json.dumps(document, indent=indent, ensure_ascii=False, default=plain)
    return _STEERING.sub(_escaped, text)


def _escaped(char: re.Match[str]) -> str:
    return f"\\u{ord(char[0]):04x}"


_STEERING = re.compile(
    "[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""Characters that JSON allows unescaped and that must not reach a terminal. JSON itself escapes all below U+0020."""
