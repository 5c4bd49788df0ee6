"""Addresses and the networks that are allowed in, nothing or Forbidden out: what is inside stays out of reach. Pure."""

import ipaddress
from collections.abc import Iterator, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Unreachable(Exception):
    """There was no answer. The text may be shown to people: of the URL it names the host alone."""


class Forbidden(Unreachable):
    """Nothing is sent there, now or later, unless the operator allows the network or the URL is changed."""


def networks(text: str) -> tuple[Network, ...]:
    """`10.0.0.0/8, fd00::/8` as networks. Raises ValueError."""
    return tuple(ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip())


def check(addresses: Sequence[Address], allowed: Sequence[Network], *, host: str, may_leave: bool) -> None:
    """Every address, not only the one that is used: a name with a public and a private one is a trap.

    Raises Forbidden; Unreachable where there is none. `may_leave`: this may go out to the Internet, as TLS may.
    """
    if not addresses:
        raise Unreachable(f"{host} has no address.")
    outside = [one for one in addresses if not _is_in(one, allowed)]
    if any(not _is_public(one) for one in outside):
        raise Forbidden(f"{host} is in a network that may not be reached from here.")
    if outside and not may_leave:
        raise Forbidden(f"{host} is outside: only https may leave the networks that are allowed.")


def _is_in(address: Address, allowed: Sequence[Network]) -> bool:
    return any(address in network for network in allowed)


def _is_public(address: Address) -> bool:
    """Whether it is somebody's on the Internet, also as what it stands for: IPv6 can carry an IPv4 address.

    Of IPv6 only what is given out as global: `ipaddress` also calls a site's own old addresses so, `fec0::/10`.
    """
    if isinstance(address, ipaddress.IPv6Address) and address not in _GIVEN_OUT:
        return False
    return all(one.is_global and not one.is_multicast and not one.is_reserved for one in (address, *_carried(address)))


def _carried(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """The IPv4 addresses that gateways would go on to: mapped, 6to4, Teredo, NAT64 and the old compatible form."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if any(address in network for network in _CARRYING):
        yield ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)


_GIVEN_OUT = ipaddress.ip_network("2000::/3")
_CARRYING = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
