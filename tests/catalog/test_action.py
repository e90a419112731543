"""Addresses of servers as they may be shown, and compared."""

from __future__ import annotations

import pytest

from e2i.catalog.action import without_credentials


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("https://user:pa%40ss@Track.example.com:443/api/?token=x#y", "https://track.example.com/api"),
        ("https://track.example.com/api", "https://track.example.com/api"),
        ("postgresql+psycopg://u:p@db:5432/mlflow?sslmode=require", "postgresql://db/mlflow"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("http://[::1]:80/", "http://[::1]"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("redis://:secret@cache", "redis://cache"),
    ],
)
def test_an_address_is_named_without_credentials_and_one_way_only(address: str, named: str) -> None:
    assert without_credentials(address) == named
