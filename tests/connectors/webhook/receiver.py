"""A requester's endpoint on loopback: keeps what it got, answers as it is told, over plain sockets."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

OK = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


@dataclass
class Got:
    """One request as it came in."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`answer` gets the open connection once the request is read."""

    port: int
    answer: Callable[[socket.socket], None]
    got: list[Got] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=t"

    def say(self, data: bytes) -> None:
        self.answer = lambda peer: peer.sendall(data)


@contextmanager
def receiver(address: str = "127.0.0.1") -> Iterator[Receiver]:
    with socket.create_server((address, 0)) as listening:
        here = Receiver(listening.getsockname()[1], lambda peer: peer.sendall(OK))
        threading.Thread(target=_serve, args=(listening, here), daemon=True).start()
        try:
            yield here
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def _serve(listening: socket.socket, here: Receiver) -> None:
    while True:
        try:
            peer, _ = listening.accept()
        except OSError:
            return
        here.connections += 1
        threading.Thread(target=_one, args=(peer, here), daemon=True).start()


def _one(peer: socket.socket, here: Receiver) -> None:
    with peer:
        try:
            here.got.append(_read(peer))
            here.answer(peer)
        except OSError:
            return  # cut off, as it should be


def _read(peer: socket.socket) -> Got:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(peer)
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += _some(peer)
    return Got(line, headers, body)


def _some(peer: socket.socket) -> bytes:
    data = peer.recv(65536)
    if not data:
        raise ConnectionError("gone")
    return data


def endless(peer: socket.socket) -> None:
    """A body of which there is no end."""
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
    while True:
        peer.sendall(b"x" * 65536)


def endless_headers(peer: socket.socket) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        peer.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")


def dripping(peer: socket.socket) -> None:
    """A status line that comes letter by letter, for longer than any test may take."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        peer.sendall(b"H")
        time.sleep(0.02)
