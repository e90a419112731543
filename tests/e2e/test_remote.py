"""A run that takes a file from a server: equal content is reused, other content is not, an agent needs a digest."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from project import Project

SPEC = """
version: 1
name: taken
steps:
  get: {uses: remote.get, with: {location: files, key: orders.csv}}
  load: {uses: data.load, with: {stored: "${{ steps.get.file }}", types: {id: string}}}
outputs: {table: "${{ steps.load.table }}"}
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


def test_equal_content_is_reused(project: Project) -> None:
    project.write("served/orders.csv", "id,x\n01,0.5\n")
    serve = partial(Quiet, directory=str(project.root / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}"
        place = f"{{kind: https, root: '{root}', private: true}}"
        project.write(
            "config/default.yaml", f"sinks: []\nworkers: 1\ntools: {{remote: {{locations: {{files: {place}}}}}}}\n"
        )

        def run(spec: str = SPEC) -> tuple[str, str]:
            record = project.run(spec)
            assert record.steps["get"].status.value == "succeeded", record.to_json()
            return record.status, record.steps["load"].status.value

        assert run() == ("succeeded", "succeeded")
        assert run() == ("succeeded", "reused")
        content = project.write("served/orders.csv", "id,x\n02,1.5\n").read_bytes()
        assert run() == ("succeeded", "succeeded")
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert run(SPEC.replace("orders.csv}", f"orders.csv, digest: '{digest}'}}")) == ("succeeded", "reused")
        server.shutdown()
