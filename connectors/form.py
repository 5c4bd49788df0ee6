"""What was entered for a system in, what would be kept of it out: all known, none missing, none in clear. Pure."""

from collections.abc import Mapping

from connectors import closed
from connectors.email import relay

FORM: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "slack": (("bot_token",), ("signing_secret", "app_token", "api_url", "team")),
    "jira": (("url", "email", "token", "webhook_secret"), ()),
    "servicenow": (("url", "user", "password", "webhook_secret"), ()),
    "email": (("url",), ("sender",)),
}
"""Of each kind what an account must have, and what it may have."""

SLACK = "https://slack.com/api/"


class BadSettings(ValueError):
    """What was entered is no account: the text says what is missing or unknown, never a value."""


def check(kind: str, given: Mapping[str, str]) -> dict[str, str]:
    """What would be kept of it. Raises BadSettings."""
    if kind not in FORM:
        raise BadSettings(f"{kind!r} is none of {', '.join(FORM)}")
    required, optional = FORM[kind]
    told = {name: value.strip() for name, value in given.items() if value.strip()}
    if unknown := told.keys() - {*required, *optional}:
        raise BadSettings(f"{kind} knows no {', '.join(sorted(unknown))}; it has {', '.join((*required, *optional))}")
    if missing := [name for name in required if name not in told]:
        raise BadSettings(f"{kind} needs {', '.join(missing)}")
    if kind == "slack" and not {"signing_secret", "app_token"} & told.keys():
        raise BadSettings("slack needs signing_secret, or app_token to open a socket")
    if kind == "email":
        _check_relay(told["url"])
    else:
        _check_address(told.get("url" if "url" in required else "api_url", SLACK))
    return told


def _check_relay(url: str) -> None:
    try:
        relay.parse(url)
    except relay.BadUrl as error:
        raise BadSettings(f"url: {error}") from None


def _check_address(address: str) -> None:
    try:
        closed.check(address)
    except closed.NotClosed as error:
        raise BadSettings(str(error)) from None
