"""Resolve a host once, and refuse addresses that are not on the public internet. In: a host. Out: addresses.

A connection is then made to one of these addresses, so that a second answer of the name server cannot lead elsewhere.
"""

from __future__ import annotations

import ipaddress
import socket

from e2i.errors import Refused


def resolved(host: str, port: int, *, private: bool) -> list[str]:
    """Return the addresses of a host. Raises Refused for one that is not public, unless ``private``; OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    for address in addresses if not private else ():
        if not is_public(address):
            raise Refused(
                f"{host} has the address {address}, which is not on the public internet",
                code="private-address",
                hint="the operator sets private: true for the location in `tools: remote:`",
            )
    return addresses


def is_public(address: str) -> bool:
    """Return whether an address is one of the public internet, also where it is written in another form of IPv6."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
    if inner is None and ip.version == 6 and ip in ipaddress.ip_network("64:ff9b::/96"):
        inner = ipaddress.ip_address(int(ip) & 0xFFFFFFFF)
    return ip.is_global and not ip.is_multicast and (inner is None or is_public(str(inner)))
