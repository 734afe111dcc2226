"""Which IP addresses are the internet's, by IANA's registries; Python's own answer differs from release to release."""

from __future__ import annotations

import ipaddress

_NOT_PUBLIC_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
            "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        ),
    )
)  # fmt: skip
_UNICAST = ipaddress.IPv6Network("2000::/3")  # outside it nothing is routed: link-local, site-local, multicast, …
_NOT_PUBLIC_6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # what is in 64:ff9b:1::/48 is a network's own affair


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet's: not private, loopback, link-local, multicast or reserved.

    IPv6 addresses that stand for IPv4 addresses (mapped, 6to4, Teredo, NAT64) are what those are; of Teredo's two, the
    relay's and the client's, both count. IPv4-compatible ones (`::10.0.0.1`) are out of use, and not public.

    Raises:
        ValueError: It is no address.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _NOT_PUBLIC_4)
    if ip.ipv4_mapped is not None:
        inner = [ip.ipv4_mapped]
    elif ip in _NAT64:
        inner = [ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)]
    elif ip.sixtofour is not None:
        inner = [ip.sixtofour]
    else:
        inner = list(ip.teredo or ())
    if inner:
        return all(is_public(str(item)) for item in inner)
    return ip in _UNICAST and not any(ip in network for network in _NOT_PUBLIC_6)
