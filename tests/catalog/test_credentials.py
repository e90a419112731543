"""Credentials are known by the names that they go by, and are not in what may be shown."""

from __future__ import annotations

import pytest

from e2i.catalog import credentials


@pytest.mark.parametrize(
    "name",
    ["password", "account_key", "AccountKey", "sas_token", "key", "X-Api-Key", "Authorization", "Cookie", "sig",
     "X-Amz-Signature", "SharedAccessSignature", "passcode", "pw", "auth", "sslpassword", "refresh_token", "accesskey"],
)  # fmt: skip
def test_a_credential_is_known_by_its_name(name: str) -> None:
    assert credentials.is_credential(name)


@pytest.mark.parametrize(
    "name",
    ["passfile", "sslmode", "sslkey", "endpoint_override", "key_prefix", "workspace", "monkey", "keyspace", "author"],
)
def test_other_settings_are_not_taken_for_credentials(name: str) -> None:
    assert not credentials.is_private(name)


@pytest.mark.parametrize(
    ("text", "shown", "found"),
    [
        ("abfs://c@a.net/e2i?sig=S1gS1g&se=1", "abfs://c@a.net/e2i?se=1", {"S1gS1g"}),
        ("abfs://c:p@a.net/e2i", "abfs://a.net/e2i", {"c:p@", "p"}),
        ("http://u:p%2Fw@h:1/x?b=2&a=1&api_key=K", "http://h:1/x?a=1&b=2", {"u:p%2Fw@", "p%2Fw", "p/w", "K"}),
        ("Endpoints=https;AccountKey=q+/=;Suffix=x", "Endpoints=https;Suffix=x", {"q+/="}),
        ("BlobEndpoint=https://a.net;SharedAccessSignature=sv=1&sig=S1g", "BlobEndpoint=https://a.net;", {"sv=1", "S1g"}),
        ("h:6379,password=pw,db=0", "h:6379,db=0", {"pw"}),
        ("plain text", "plain text", set()),
        ("http://[bad", "http://[bad", set()),
    ],
)  # fmt: skip
def test_what_is_shown_is_without_credentials(text: str, shown: str, found: set[str]) -> None:
    assert credentials.without(text) == shown
    assert {word for word, _ in credentials.found_in(text)} == found
