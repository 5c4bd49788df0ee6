"""Which systems there are: a kind in, its Transport out. A new one is a folder and one line here."""

from collections.abc import Callable

from connectors.email import transport as email
from connectors.jira import transport as jira
from connectors.port import Account, Transport
from connectors.servicenow import transport as servicenow
from connectors.slack import transport as slack

KINDS: dict[str, Callable[[Account], Transport]] = {
    "email": email.open_,
    "jira": jira.open_,
    "servicenow": servicenow.open_,
    "slack": slack.open_,
}


def open_(account: Account) -> Transport:
    """The account's system, ready to be told something. Raises UnknownKind, TransportError."""
    try:
        opener = KINDS[account.kind]
    except KeyError:
        raise UnknownKind(f"no connector is built for {account.kind!r}") from None
    return opener(account)


class UnknownKind(LookupError):
    """A channel names a system that this version has no connector for."""
