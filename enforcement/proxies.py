"""A request in; the same without what only a trusted proxy may say, and the certificate's identity it did say, out.

A proxy that ends TLS tells whose certificate the client showed in a header. Anybody can write a header: it counts if
the other end of this very connection is one of the configured proxies, and is taken out of every other request.
What a request says of whence it came (`X-Forwarded-For`) decides nothing.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from django.conf import settings

from enforcement.http import Request
from enforcement.problems import Kind, Problem
from outbox import reachable
from outbox.reachable import Network

XFCC, PLAIN = "xfcc", "plain"
MAX_HEADER = 8192

_PAIR = re.compile(r'\s*([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^";,]*)\s*([;,]|\Z)')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class _Rules:
    """Who is trusted to tell identities, in which header, written how."""

    proxies: tuple[Network, ...]
    header: str
    format: str


def stripped(request: Request) -> Request:
    """The request as whoever sent it may speak."""
    rules = _rules()
    if rules.header not in request.headers or _is_trusted(request.peer, rules.proxies):
        return request
    return request._replace(headers={name: value for name, value in request.headers.items() if name != rules.header})


def told_once(headers: Mapping[str, str], raw: Sequence[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """The headers, without the one that tells identities if it came twice: one of them may be the client's own."""
    name = _rules().header
    if name not in headers or [one for one, _ in raw].count(name.encode()) == 1:
        return headers
    return {other: value for other, value in headers.items() if other != name}


def identity(headers: Mapping[str, str]) -> str | None:
    """The certificate's identity in headers that were `stripped`; None if there is none. Raises Problem (401)."""
    rules = _rules()
    told = headers.get(rules.header, "")
    if not told:
        return None
    found = (_of_xfcc(told) if rules.format == XFCC else told.strip()) if len(told) <= MAX_HEADER else None
    if not found:
        raise Problem(Kind.UNAUTHENTICATED, "The proxy's header must tell one certificate, with one identity in it.")
    return found


def forget() -> None:
    """Read the settings again."""
    _rules.cache_clear()


@cache
def _rules() -> _Rules:
    given = settings.COUNTERSIGN
    trusted = reachable.networks(given.trusted_proxies)
    return _Rules(trusted, given.client_cert_header.lower(), given.client_cert_format)


def _is_trusted(peer: str, proxies: tuple[Network, ...]) -> bool:
    """Whether the other end is a proxy of ours. An IPv4 address is itself, however a dual socket writes it."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in proxies)


def _of_xfcc(told: str) -> str | None:
    """The `URI` of Envoy's x-forwarded-client-cert. None unless it tells of one certificate with one URI: of several
    hops nobody can say here which is the client's.
    https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers
    """
    found: list[str] = []
    at = 0
    while at < len(told):
        pair = _PAIR.match(told, at)
        if pair is None or pair[3] == ",":
            return None
        if pair[1].lower() == "uri":
            found.append(_ESCAPED.sub(r"\1", pair[2][1:-1]) if pair[2].startswith('"') else pair[2])
        at = pair.end()
    return found[0] if len(found) == 1 else None
