"""Requests that another site, or another host name, would send to a served model: for tests of what refuses them."""

from __future__ import annotations

import httpx

FOREIGN = [
    {"Host": "evil.example"}, {"Host": "evil.example:80"}, {"Host": "127.0.0.1.evil.example"}, {"Host": "localhost.evil"},
    {"Host": ""}, {"Host": "evil@127.0.0.1"}, {"Origin": "http://evil.example"}, {"Origin": "null"},
    {"Origin": "http://localhost"}, {"Origin": "http://127.0.0.1:1"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": ""},
]  # fmt: skip


def routes(url: str) -> list[tuple[str, str]]:
    """Every route that the service lists, and BentoML's own."""
    listed = httpx.get(url + "/docs.json").json()["paths"]
    found = [(method.upper(), path) for path, methods in listed.items() for method in methods]
    own = ("/", "/docs.json", "/schema.json", "/metrics", "/static_content/index.css", "/readyz/x", "/x/readyz")
    return [*((m, p) for m, p in found if p not in ("/livez", "/readyz", "/healthz")), *(("GET", path) for path in own)]


def check_foreign(url: str) -> None:
    """No route answers a request of another site, or under another name."""
    asked = routes(url)
    assert ("POST", "/predict") in asked
    with httpx.Client(base_url=url) as client:  # to make one for each request takes longer than to be answered
        for method, path in asked:
            for headers in FOREIGN:
                answer = client.request(method, path, headers=headers, json={} if method == "POST" else None)
                assert answer.status_code in (400, 403, 421), (method, path, headers, answer.text[:100])
            assert client.request("OPTIONS", path, headers={"Origin": "http://evil.example"}).status_code == 403
