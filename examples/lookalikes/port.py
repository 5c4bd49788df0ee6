"""A port in; where it cannot be had on loopback, the end, in words."""

import socket


def check_free(port: int) -> None:
    """Before a server finds out, with a traceback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            raise SystemExit(
                f"Port {port} of 127.0.0.1 cannot be had. Choose another: --port {port % 50_000 + 10}"
            ) from None
