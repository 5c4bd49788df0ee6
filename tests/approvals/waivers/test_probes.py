"""Where a check may look, and what it takes for an answer. Over real sockets on loopback."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from approvals.waivers import probes
from approvals.waivers.finding import Finding
from outbox import outward
from tests.approvals.waivers.checking import UP, private
from tests.connectors.webhook.receiver import Receiver, dripping, endless, receiver


@pytest.fixture(autouse=True)
def _inside(monkeypatch: pytest.MonkeyPatch) -> None:
    private(monkeypatch)


@pytest.fixture
def here() -> Iterator[Receiver]:
    with receiver() as made:
        made.say(UP)
        yield made


def probe(url: str, expect: int = 200) -> Finding:
    return probes.probe({"url": url, "expect": expect})


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """A name server of the attacker's: each question gets the next answer, the last one for ever."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


class TestWhere:
    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "localhost", "10.0.0.8", "192.168.1.1", "169.254.169.254", "[::1]", "[fd00::1]",
                 "[::ffff:127.0.0.1]", "100.64.0.1", "0.0.0.0"],
    )  # fmt: skip
    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_not_inside_unless_the_operator_says_so(
        self, monkeypatch: pytest.MonkeyPatch, scheme: str, host: str
    ) -> None:
        private(monkeypatch, allowed=False)
        found = probe(f"{scheme}://{host}/")
        assert not found.holds
        assert "may not be reached" in found.found

    def test_nobody_is_asked_who_is_inside(self, here: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        private(monkeypatch, allowed=False)
        assert not probe(here.url).holds
        assert here.connections == 0

    @pytest.mark.parametrize(
        "host", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "[::ffff:169.254.169.254]", "224.0.0.1"]
    )
    def test_never_where_clouds_answer_with_credentials(self, host: str) -> None:
        assert "may not be reached" in probe(f"http://{host}/latest/meta-data/").found

    def test_a_name_is_resolved_once_and_what_was_checked_is_what_is_reached(
        self, here: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = resolving(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
        assert probe(f"http://rebinding.test:{here.port}/").holds
        assert (len(asked), here.connections) == (1, 1)

    def test_not_if_one_of_several_addresses_is_inside(self, monkeypatch: pytest.MonkeyPatch) -> None:
        private(monkeypatch, allowed=False)
        resolving(monkeypatch, ["93.184.215.14", "127.0.0.1"])
        assert "may not be reached" in probe("https://two-faced.test/").found


class TestWhat:
    def test_the_status_expected_is_the_only_one_that_holds(self, here: Receiver) -> None:
        assert probe(here.url) == Finding(holds=True, found="It answered 200.")
        assert probe(here.url, 204) == Finding(holds=False, found="It answered 200, not 204.")

    def test_a_redirect_to_the_inside_is_not_followed_and_fails(self, here: Receiver) -> None:
        with receiver() as inside:
            here.say(f"HTTP/1.1 302 Found\r\nLocation: {inside.url}\r\nContent-Length: 0\r\n\r\n".encode())
            assert probe(here.url) == Finding(holds=False, found="It answered 302, not 200.")
            assert inside.connections == 0

    def test_no_body_is_read(self, here: Receiver) -> None:
        here.answer = endless
        assert probe(here.url).holds

    @pytest.mark.parametrize("answer", [dripping, lambda peer: time.sleep(3)])
    def test_who_is_slow_has_not_answered(self, here: Receiver, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
        monkeypatch.setattr(outward, "SECONDS", 0.4)
        here.answer = answer
        began = time.monotonic()
        assert "did not answer" in probe(here.url).found
        assert time.monotonic() - began < 2.9, "as long as it likes"

    def test_a_name_server_that_is_slow_counts_as_well(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outward, "SECONDS", 0.3)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(4) or [])
        began = time.monotonic()
        assert "could not be looked up in time" in probe("https://slow.test/").found
        assert time.monotonic() - began < 3.9

    def test_nobody_there_does_not_hold(self) -> None:
        with receiver() as gone:
            pass
        assert not probe(gone.url).holds

    def test_a_url_that_cannot_be_asked_does_not_hold(self) -> None:
        assert not probe("https://public.test/#part").holds

    def test_words_name_the_host_and_no_token_of_the_url(self, here: Receiver) -> None:
        here.say(b"nonsense\r\n\r\n")
        assert probe(here.url).found == "127.0.0.1 did not answer: BadStatusLine."
