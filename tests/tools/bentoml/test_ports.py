from __future__ import annotations

import socket

import pytest

from e2i.tools.bentoml.ports import claim
from project import WITHIN


def test_a_port_that_was_claimed_is_kept_for_the_server_it_was_claimed_for() -> None:
    with claim(0) as claimed:
        address = claimed.getsockname()
        with socket.socket() as other, pytest.raises(OSError, match="already in use"):
            other.bind(address)
        with socket.create_server(address):  # which sets SO_REUSEADDR, as servers do
            socket.create_connection(address, timeout=WITHIN).close()
