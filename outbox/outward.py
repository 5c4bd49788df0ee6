"""A URL that somebody entered in, what it answered out; never to where it could do harm.

The name is resolved once, every address of it must be allowed, and the connection goes to one of these very addresses:
a name that resolves otherwise a moment later changes nothing. No redirect is followed, no proxy is asked, a body is
read only by `fetch` and only so far, and the whole must be over within a few seconds, drop by drop or not.
"""

import http.client
import ipaddress
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from outbox import reachable
from outbox.reachable import Address, Forbidden, Network, Unreachable

SECONDS = 5.0
"""For everything, the name's resolution included; a pump waits for it."""

_PORTS = {"https": 443, "http": 80}
_URL = re.compile(r"[\x21-\x7e]{1,2000}").fullmatch
_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
).fullmatch
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+))*").fullmatch


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart: what is connected to, what is asked for, and what the other side is told it is called."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    target: Target
    headers: Mapping[str, str]
    body: bytes | None = None
    read: int = 0  # bytes of the answer's body that are wanted at most


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    retry_after: str
    body: bytes


def parse(url: str) -> Target:
    """Raises Forbidden for whatever has more than one reading, or one that is not http(s) to a plain host."""
    if not _URL(url) or "\\" in url:
        raise Forbidden("The URL holds characters that URLs do not have.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Forbidden("The URL cannot be read.") from None
    if parts.scheme not in _PORTS:
        raise Forbidden("The URL must begin with https:// (or http:// into a network that is allowed).")
    if "@" in parts.netloc or parts.fragment or "#" in url:
        raise Forbidden("The URL must have no user name, password or fragment.")
    query = f"?{parts.query}" if parts.query else ""
    return Target(parts.scheme, _host(parts.hostname), port or _PORTS[parts.scheme], f"{parts.path or '/'}{query}")


def post(url: str, body: bytes, *, headers: Mapping[str, str], allowed: Sequence[Network]) -> tuple[int, str]:
    """Status and `Retry-After` of the answer, whatever it is. Raises Unreachable if there is none, Forbidden.

    What is told in clear stays in the networks that are allowed.
    """
    sent = {"content-length": str(len(body)), **headers}
    answer = _asked_for(_Request("POST", parse(url), sent, body), allowed, in_clear=False)
    return answer.status, answer.retry_after


def get(url: str, *, headers: Mapping[str, str], allowed: Sequence[Network]) -> int:
    """The status of the answer, whatever it is. Raises Unreachable if there is none, Forbidden.

    It tells nothing but where it looks, so it may go out in clear as well.
    """
    return _asked_for(_Request("GET", parse(url), headers), allowed, in_clear=True).status


def fetch(url: str, *, headers: Mapping[str, str], allowed: Sequence[Network], most: int) -> tuple[int, bytes]:
    """The status of the answer, and its body. Raises Unreachable if there is none or it is longer than `most` bytes,
    Forbidden. What is believed comes over TLS, or out of the networks that are allowed.
    """
    answer = _asked_for(_Request("GET", parse(url), headers, read=most + 1), allowed, in_clear=False)
    if len(answer.body) > most:
        raise Unreachable(f"{parse(url).host} answered with more than {most} bytes.")
    return answer.status, answer.body


def _asked_for(request: _Request, allowed: Sequence[Network], *, in_clear: bool) -> _Answer:
    target = request.target
    with _deadline() as watched:
        addresses = _resolved(target, watched)
        reachable.check(addresses, allowed, host=target.host, may_leave=in_clear or target.scheme == "https")
        try:
            return _exchange(request, addresses, watched)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{target.host} did not answer: {type(error).__name__}.") from error


# --- where to


def _host(host: str | None) -> str:
    """A name in lower case, or an address in its one usual spelling: `0177.1` and `2130706433` are neither."""
    if not host or "%" in host:
        raise Forbidden("The URL names no host.")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if _NUMERIC(host) or not _NAME(host):
        raise Forbidden("The host must be a name, or an address as it is usually written.")
    return host


def _resolved(target: Target, watched: "_Watched") -> list[Address]:
    """Every address of the host, asked for once."""
    try:
        found = _asked(target, watched)
    except TimeoutError:
        raise Unreachable(f"{target.host} could not be looked up in time.") from None
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"{target.host} has no address.") from error
    return list(dict.fromkeys(ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found))


def _asked(target: Target, watched: "_Watched") -> Sequence[tuple[Any, ...]]:
    """The name server's answer, in time. The system's call knows no deadline and cannot be ended from outside: a
    thread waits for it and is left behind when it is late. The system's own limit ends it, within a minute or so.
    """
    answer: Future[Sequence[tuple[Any, ...]]] = Future()

    def ask() -> None:
        try:
            answer.set_result(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))
        except Exception as error:  # noqa: BLE001  told to who waits
            answer.set_exception(error)

    threading.Thread(target=ask, name="resolving", daemon=True).start()
    return answer.result(timeout=watched.left)


# --- the exchange


class _Watched:
    """One call's time, and its socket, cut off when that is over: a timeout a read would let it drip for ever."""

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.is_over = False
        self._until = time.monotonic() + SECONDS

    @property
    def left(self) -> float:
        """Seconds; never nothing, which sockets take for no limit or for no waiting at all."""
        return max(self._until - time.monotonic(), 0.001)

    def cut(self) -> None:
        self.is_over = True
        if self.socket is not None:
            with suppress(OSError):  # closed meanwhile
                self.socket.shutdown(socket.SHUT_RDWR)


@contextmanager
def _deadline() -> Iterator[_Watched]:
    watched = _Watched()
    timer = threading.Timer(SECONDS, watched.cut)
    timer.daemon = True
    timer.start()
    try:
        yield watched
    finally:
        timer.cancel()
        if watched.socket is not None:
            watched.socket.close()


def _exchange(request: _Request, addresses: Sequence[Address], watched: _Watched) -> _Answer:
    target = request.target
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = _connected(target, addresses, watched)
    connection.putrequest(request.method, target.path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"host": target.authority, "connection": "close", **request.headers}.items():
        connection.putheader(name, value)
    connection.endheaders(request.body)
    response = connection.getresponse()
    body = response.read(request.read) if request.read else b""
    if watched.is_over:  # an answer that was cut off is none
        raise TimeoutError
    return _Answer(response.status, response.headers.get("retry-after", ""), body)


def _connected(target: Target, addresses: Sequence[Address], watched: _Watched) -> socket.socket:
    """To the first of the checked addresses that answers; the certificate must be the name's, not the address's."""
    for n, address in enumerate(addresses, start=1):
        watched.socket = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6)  # noqa: PLR2004
        watched.socket.settimeout(watched.left)  # the cut comes once, and may have come before there was a socket
        try:
            watched.socket.connect((str(address), target.port))  # an address: nothing is asked of a name server again
            break
        except OSError:
            watched.socket.close()
            if n == len(addresses) or watched.is_over:
                raise
    assert watched.socket is not None
    if target.scheme == "https":
        secured = _context().wrap_socket(watched.socket, server_hostname=target.host, do_handshake_on_connect=False)
        watched.socket = secured  # first this: a handshake can drip as well
        secured.do_handshake()
    return watched.socket


def _context() -> ssl.SSLContext:
    """As browsers verify. SSL_CERT_FILE names other authorities, for instance a company's own."""
    return _read(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _read(*_authorities: str | None) -> ssl.SSLContext:
    """Once a process: it takes longer than most calls do. Only this is shared, for each call pins its addresses."""
    return ssl.create_default_context()
