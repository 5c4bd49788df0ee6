"""A wire between the service and PostgreSQL that can be cut exactly at a COMMIT."""

import contextlib
import socket
import threading
from enum import Enum

_COMMIT = b"COMMIT\x00"


class Cut(Enum):
    """Whether the server still heard the COMMIT. The service cannot tell the one from the other."""

    BEFORE = "before"
    AFTER = "after"


class Wire:
    """Forwards bytes. Once `arm`ed, it cuts the connection whose transaction holds the marker, once, at its COMMIT."""

    def __init__(self, host: str, port: int) -> None:
        self._far = (host, port)
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self._lock = threading.Lock()
        self._armed: tuple[Cut, bytes] | None = None
        self.cuts = 0
        self._open: set[socket.socket] = set()
        self._deaf: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, cut: Cut, marker: bytes = b"INSERT INTO") -> None:
        with self._lock:
            self._armed = (cut, marker)

    def deafen(self) -> None:
        """Whatever is connected now hears nothing more and is not told so, as behind a firewall that forgot it."""
        self._deaf |= self._open

    def _take(self, transaction: bytes) -> Cut | None:
        with self._lock:
            if self._armed is None or self._armed[1] not in transaction:
                return None
            cut, self._armed = self._armed[0], None
            self.cuts += 1
            return cut

    def close(self) -> None:
        self._door.close()
        for end in list(self._open):
            _end(end)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._door.accept()
                far = socket.create_connection(self._far)
                self._open |= {near, far}
                gagged = threading.Event()
                threading.Thread(target=self._there, args=(near, far, gagged), daemon=True).start()
                threading.Thread(target=self._back, args=(near, far, gagged), daemon=True).start()

    def _there(self, near: socket.socket, far: socket.socket, gagged: threading.Event) -> None:
        transaction = b""
        with contextlib.suppress(OSError):
            while chunk := near.recv(65536):
                if near in self._deaf:
                    continue
                transaction += chunk
                if _COMMIT in chunk:
                    cut = self._take(transaction)
                    transaction = b""
                    if cut is Cut.BEFORE:
                        break
                    if cut is Cut.AFTER:
                        gagged.set()  # the server may hear all that follows; what it answers is kept back
                far.sendall(chunk)
        self._hang_up(near, far)

    def _back(self, near: socket.socket, far: socket.socket, gagged: threading.Event) -> None:
        kept_back = b""
        with contextlib.suppress(OSError):
            while chunk := far.recv(65536):
                if gagged.is_set():
                    kept_back += chunk
                    if _COMMIT in kept_back:  # its tag: the server has committed
                        break
                else:
                    near.sendall(chunk)
        self._hang_up(near, far)

    def _hang_up(self, near: socket.socket, far: socket.socket) -> None:
        for end in (near, far):
            _end(end)
            self._open.discard(end)
            self._deaf.discard(end)


def _end(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
