"""A URL in, the mail relay it names out. Pure: the settings and the connector read it alike.

`smtp://` speaks in clear (a relay on this machine), `smtp+starttls://` and `smtps://` encrypted with the certificate
checked; `console:` prints and `file:///folder` writes, for try-outs. `?from=` names the sender.
"""

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

FORM = "smtp+starttls://user:password@host:587?from=countersign@example.com"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
LOCAL = frozenset({"console", "file"})


class BadUrl(ValueError):
    """The URL names no relay that mail may leave by. The text says what is needed, never a part of the URL."""


@dataclass(frozen=True, slots=True)
class Relay:
    """Where letters are handed over, and as whom. `folder` is where `file:` writes."""

    scheme: str
    sender: str
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""
    folder: str = ""


def parse(url: str) -> Relay:
    """Raises BadUrl."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadUrl(f"{FORM} is needed") from None
    sender = _sender(parts.query)
    if parts.scheme in LOCAL and sender:
        return _local(parts.scheme, parts.path, sender)
    if parts.scheme not in _PORTS or not parts.hostname or not sender:
        raise BadUrl(f"{FORM} is needed")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if user and not password:
        raise BadUrl("a password is needed beside the user")
    if user and parts.scheme == "smtp" and parts.hostname not in LOOPBACK:
        raise BadUrl("smtp+starttls or smtps is needed: the password would travel in clear")
    return Relay(parts.scheme, sender, parts.hostname, port or _PORTS[parts.scheme], user, password)


def _local(scheme: str, folder: str, sender: str) -> Relay:
    if scheme == "file" and not folder.startswith("/"):
        raise BadUrl("file:///folder?from=countersign@example.com is needed")
    return Relay(scheme, sender, folder=unquote(folder))


def _sender(query: str) -> str:
    """The address that mail comes from; empty if none is named."""
    sender = parse_qs(query).get("from", [""])[0].strip()
    return sender if "@" in sender and sender.isprintable() and not any(map(str.isspace, sender)) else ""
