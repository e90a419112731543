"""The secret property: whatever a step does with a secret, it is in no file, no message and no request afterwards.

Canaries × encodings × ways out of a step, with every run reported to trackers. The other half of the property, that no
other parameter of any action takes a secret, is in ``tests/check/test_secrecy.py``.
"""

from __future__ import annotations

import base64
import html
import json
import random
import string
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from e2i import api
from project import Project

ENCODINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "base64": lambda text: base64.b64encode(b"user:" + text.encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(b"?" + text.encode()).decode(),
    "hex": lambda text: text.encode().hex().upper(),
    "percent": lambda text: urllib.parse.quote(text, safe=""),
    "json": lambda text: json.dumps({"t": text}),
}
REFUSED = ("value", "key", "deep", "cell", "category", "column", "bytes")
"""Ways in which a step would hand a secret on."""
MASKED = ("print", "pieces", "raise", "native", "long")
"""Ways in which it shows one."""
CODE = """
import base64, json, logging, os, sys, urllib.parse

ENCODINGS = {
    "raw": str,
    "base64": lambda text: base64.b64encode(b"user:" + text.encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(b"?" + text.encode()).decode(),
    "hex": lambda text: text.encode().hex().upper(),
    "percent": lambda text: urllib.parse.quote(text, safe=""),
    "json": lambda text: json.dumps({"t": text}),
}

def leak(token, encoding, way):
    shown = ENCODINGS[encoding](token)
    if way in ("cell", "category", "column", "bytes"):
        import pandas as pd
    match way:
        case "value": return shown
        case "key": return {shown: 1}
        case "deep": return [{"a": [0, f"before {shown} after"]}]
        case "cell": return pd.DataFrame({"x": [1, 2], "t": ["a", shown]})
        case "category": return pd.DataFrame({"t": pd.Series(["a", shown] * 9, dtype="category")})
        case "column": return pd.DataFrame({shown: [1]})
        case "bytes": return pd.DataFrame({"t": [b"a", shown.encode()]})
        case "print": print("see", shown); logging.warning("look %s", shown)
        case "pieces":
            for piece in (shown[:7], shown[7:]):
                sys.stdout.write(piece); sys.stdout.flush()
        case "native": os.write(2, shown.encode()); os.system(f"echo {shown!r}")
        case "raise": raise ValueError(f"not accepted: {shown}")
        case "long": raise ValueError("x" * 3_960 + shown + "x" * 9_000 + shown)
    return "done"
"""


def canary(number: int) -> str:
    """A secret of its own kind: letters, signs that encodings change, several lines."""
    rng = random.Random(number)
    signs = string.ascii_letters + string.digits + ("" if number % 3 == 0 else "+/=&<\"é %\\'")
    text = "".join(rng.choice(signs) for _ in range(12 + number))
    return f"a{text}9" if number % 5 else f"a{text}9\n{text[::-1]}z8"


class Tracker:
    """An Opik on this machine that takes everything and keeps what it was sent."""

    def __init__(self) -> None:
        requests: list[bytes] = []
        self.requests = requests

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                requests.append(f"{self.command} {self.path}\n{self.headers}".encode() + body)
                content = b"{}"
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = answer  # noqa: N815 - names of the standard library

            def log_message(self, *arguments: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/api"


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    found = Tracker()
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def chosen(number: int, lengths: int) -> list[tuple[str, str]]:
    """So many ways for each encoding, other ones for another canary: twenty canaries meet each pair several times."""
    every = (*REFUSED, *MASKED)
    return [
        (encoding, every[(number + 2 * index + 5 * way) % len(every)])
        for index, encoding in enumerate(ENCODINGS)
        for way in range(lengths)
    ]


def steps(number: int, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        f"{way}_{encoding}_{number}": {"uses": "python.call", "on_error": "continue", "with": {
            "file": "leak.py", "function": "leak",
            "arguments": {"token": f"${{{{ secrets.CANARY_{number} }}}}", "encoding": encoding, "way": way}}}
        for encoding, way in pairs
    }  # fmt: skip


def exposed(project: Project, secret: str, messages: list[str], requests: list[bytes]) -> list[str]:
    """Where a form of the secret, or of a line of it, is."""
    lines = [line for line in secret.splitlines() if len(line) >= 8]
    forms = {form for line in lines for form in (line, line.encode().hex(), line.encode().hex().upper(),
             base64.b64encode(line.encode()).decode()[:-4], urllib.parse.quote(line, safe=""), json.dumps(line)[1:-1],
             base64.b64encode(b"user:" + line.encode()).decode()[8:-4], html.escape(line))}  # fmt: skip
    wanted = [form.encode() for form in forms]
    kept = {str(path): path.read_bytes() for path in project.root.rglob("*") if path.is_file()}
    said = {f"message {i}": text.encode() for i, text in enumerate(messages)}
    sent = {f"request {i}": body for i, body in enumerate(requests)}
    return [where for where, content in {**kept, **said, **sent}.items() if any(form in content for form in wanted)]


@pytest.mark.parametrize(
    ("batches", "count"),
    [
        pytest.param([[5]], 6, id="some", marks=pytest.mark.slow),
        pytest.param(
            [range(start, start + 5) for start in range(0, 20, 5)],
            510,
            id="all",
            marks=[pytest.mark.sweep, pytest.mark.timeout(7_200)],
        ),
    ],
)
def test_a_secret_is_in_no_file_message_or_request(
    batches: Any,
    count: int,
    project: Project,
    tracker: Tracker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ", ".join(f"CANARY_{number}: MY_CANARY_{number}" for batch in batches for number in batch)
    project.write("config/default.yaml", f"sinks: [mlflow, opik]\nflush: 20\nsecrets: {{{names}}}\n"
                  f"tools: {{opik: {{url: '{tracker.url}'}}}}\n")  # fmt: skip
    project.write("leak.py", CODE)
    tried, exceptions = 0, []
    for batch in batches:
        lengths = {number: chosen(number, 1 if count < 500 else 5 if number % 4 == 0 else 4) for number in batch}
        for number in batch:
            monkeypatch.setenv(f"MY_CANARY_{number}", canary(number))
        written = {name: step for number, pairs in lengths.items() for name, step in steps(number, pairs).items()}
        spec = {"version": 1, "name": f"canaries_{batch[0]}", "steps": written}
        messages = [json.dumps(project.plan(spec).to_json())]
        listen: Callable[[Any], None] = lambda event, said=messages: said.append(json.dumps(event.to_json()))  # noqa: E731
        record = api.run(spec, workspace=project.workspace, listen=listen)
        messages.append(json.dumps(record.to_json()))
        for name in written:
            way = name.partition("_")[0]
            error = record.steps[name].error
            code = error.code if error else None
            expected = (
                "secret-in-output" if way in REFUSED else "user-code-failed" if way in ("raise", "long") else None
            )
            if code != expected:
                exceptions.append((name, record.steps[name].error))
        exceptions += [
            (number, where)
            for number in batch
            for where in exposed(project, canary(number), messages, tracker.requests)
        ]
        tried += len(written)
    print(f"{tried} steps, {len(ENCODINGS)} encodings, {len(exceptions)} exceptions")
    assert exceptions == []
    assert tried == count
    assert tracker.requests
