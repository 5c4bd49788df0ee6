"""The bot token goes to the address that was configured, and to nobody that this address points to."""

import pytest

from connectors.port import Account, TransportError
from connectors.slack import transport
from tests.connectors.webhook.receiver import receiver

TOKEN = "xoxb-secret"


@pytest.mark.parametrize(
    "status", [b"301 Moved Permanently", b"302 Found", b"303 See Other", b"307 Temporary Redirect"]
)
def test_abuse_099_the_token_follows_no_redirect(status: bytes) -> None:
    with receiver() as elsewhere, receiver() as detour:
        location = elsewhere.url.encode()
        detour.say(b"HTTP/1.1 %s\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, location))
        settings = {"bot_token": TOKEN, "api_url": f"http://127.0.0.1:{detour.port}/api/"}
        with pytest.raises(TransportError) as refused:
            transport.open_(Account("acme", 1, "slack", settings)).check()
    assert TOKEN in detour.got[0].headers["authorization"]
    assert not elsewhere.got
    assert refused.value.permanent
