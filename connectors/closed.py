"""An address in, whether credentials may be sent there out: encrypted, or not beyond this machine. Pure."""

from urllib.parse import urlsplit

from connectors.email.relay import LOOPBACK


class NotClosed(ValueError):
    """The text says what is needed, never a part of the address."""


def check(address: str) -> None:
    """Raises NotClosed."""
    try:
        parts = urlsplit(address)
    except ValueError:
        raise NotClosed("an address such as https://example.atlassian.net is needed") from None
    if not parts.hostname or "@" in parts.netloc or parts.scheme not in {"http", "https"} or parts.query:
        raise NotClosed("an address such as https://example.atlassian.net is needed")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise NotClosed("https is needed: the credentials would travel in clear")
