"""The environment's proxy is asked by whom an operator configured, and never by what somebody registered."""

from collections.abc import Iterator

import pytest

from connectors import kinds
from connectors.jira import api
from connectors.port import Account, TransportError
from connectors.servicenow import table
from outbox import outward, reachable
from tests.connectors.webhook.receiver import Receiver, receiver

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
GIVEN = {
    "slack": {"bot_token": "xoxb-1", "api_url": "http://outside.test/api/"},
    "jira": {"url": "http://outside.test", "email": "e", "token": "t", "webhook_secret": "w"},
    "servicenow": {"url": "http://outside.test", "user": "u", "password": "p", "webhook_secret": "w"},
}


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A proxy that the environment names, and clients that were not made before it did."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    anew()
    with receiver() as here:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{here.port}")
        yield here
    anew()


def anew() -> None:
    api.CONNECTIONS.close()
    table.CLIENT.close()


def check(kind: str) -> None:
    """Nothing answers as the system would: what matters is who is asked."""
    with pytest.raises(TransportError):
        kinds.open_(Account("acme", 1, kind, GIVEN[kind])).check()


@pytest.mark.parametrize("kind", GIVEN)
def test_it_is_asked_by_a_configured_system(proxy: Receiver, kind: str) -> None:
    check(kind)
    assert "http://outside.test/" in proxy.got[0].line


@pytest.mark.parametrize("kind", GIVEN)
def test_it_is_not_asked_for_what_the_environment_exempts(
    proxy: Receiver, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("no_proxy", "outside.test")
    check(kind)
    assert proxy.connections == 0


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "https://127.0.0.1:9/", "https://outside.test/"])
def test_abuse_098_it_is_never_asked_for_an_address_that_somebody_registered(proxy: Receiver, url: str) -> None:
    """A proxy would look the name up anew: what was checked would not be what is reached."""
    with pytest.raises(reachable.Unreachable):
        outward.post(url, b"{}", headers={}, allowed=reachable.networks("127.0.0.0/8"))
    assert proxy.connections == 0
