"""Where a URL that somebody entered may lead: nowhere inside, whatever it is spelt like. Over real sockets."""

import ipaddress
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from outbox import outward, reachable
from outbox.reachable import Forbidden, Unreachable
from tests.connectors.webhook.receiver import Receiver, dripping, endless, endless_headers, receiver

LOOPBACK = reachable.networks("127.0.0.0/8")


@pytest.fixture
def here() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def send(url: str, **changes: Any) -> tuple[int, str]:
    given: dict[str, Any] = {"headers": {"x-test": "1"}, "allowed": LOOPBACK}
    return outward.post(url, b"{}", **(given | changes))


def forbidden(url: str, *, allowed: tuple[reachable.Network, ...] = ()) -> bool:
    with pytest.raises(Unreachable) as caught:
        send(url, allowed=allowed)
    return isinstance(caught.value, Forbidden)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """A name server of the attacker's: each question gets the next answer, the last one for ever."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


class TestWhere:
    @pytest.mark.parametrize(
        "address",
        ["169.254.169.254", "127.0.0.1", "10.0.0.8", "172.16.0.1", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1",
         "255.255.255.255", "[::1]", "[::]", "[fe80::1]", "[fd00::1]", "[fec0::1]", "[ff02::1]"],
    )  # fmt: skip
    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_abuse_095_not_to_where_only_we_can_reach(self, scheme: str, address: str) -> None:
        assert forbidden(f"{scheme}://{address}/latest/meta-data/")

    @pytest.mark.parametrize(
        "address",
        ["::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:7f00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "::7f00:1",
         "2001:0:7f00:1::"],
    )  # fmt: skip
    def test_abuse_096_not_to_an_address_inside_another(self, address: str) -> None:
        assert forbidden(f"https://[{address}]/")

    @pytest.mark.parametrize(
        "host", ["2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "127.1", "127.0.1", "017700000001", "0"]
    )
    def test_abuse_097_not_to_an_address_in_disguise_even_if_it_is_allowed(self, here: Receiver, host: str) -> None:
        assert forbidden(f"http://{host}:{here.port}/", allowed=LOOPBACK)
        assert here.connections == 0

    def test_a_name_of_ours_is_no_way_in(self) -> None:
        assert forbidden("https://localhost/")

    def test_abuse_098_not_if_one_of_several_addresses_is_inside(self, monkeypatch: pytest.MonkeyPatch) -> None:
        resolving(monkeypatch, ["93.184.215.14", "127.0.0.1"])
        assert forbidden("https://two-faced.test/")

    def test_abuse_098_a_name_is_resolved_once_and_what_was_checked_is_what_is_reached(
        self, here: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with receiver("127.0.0.2") as inside:
            asked = resolving(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
            only = reachable.networks("127.0.0.1/32")
            assert send(f"http://rebinding.test:{here.port}/", allowed=only)[0] == 204
            assert (len(asked), here.connections, inside.connections) == (1, 1, 0)
            assert here.got[0].headers["host"] == f"rebinding.test:{here.port}"

    def test_a_look_asks_with_get_and_no_body(self, here: Receiver) -> None:
        assert outward.get(here.url, headers={"user-agent": "us"}, allowed=LOOPBACK) == 204
        (got,) = here.got
        assert got.line == "GET /hook?token=t HTTP/1.1"
        assert got.headers == {"host": f"127.0.0.1:{here.port}", "connection": "close", "user-agent": "us"}

    def test_a_name_that_has_no_address_may_have_one_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        resolving(monkeypatch, [])
        with pytest.raises(Unreachable) as caught:
            send("https://nowhere.test/")
        assert not isinstance(caught.value, Forbidden)

    def test_the_environments_proxy_is_not_asked(self, here: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        assert send(here.url)[0] == 204


class TestWhat:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_abuse_099_a_redirect_is_not_followed(self, here: Receiver, status: int) -> None:
        with receiver() as inside:
            here.say(f"HTTP/1.1 {status} Go\r\nLocation: {inside.url}\r\nContent-Length: 0\r\n\r\n".encode())
            assert send(here.url)[0] == status
            assert inside.connections == 0

    @pytest.mark.parametrize(
        "url",
        ["https://public.test@127.0.0.1/", "https://user:word@public.test/", "https://127.0.0.1#@public.test/",
         "https://127.0.0.1\\@public.test/", "https://public.test\t/", "https://public.test/ x", "https://public.test/\r\nX: y",
         "https:///path", "https://", "https://[::1", "https://[fe80::1%25eth0]/", "https://public.test:99999/", "https://a..b/",
         "https://m\u00fcnchen.test/", "https://public.test./"],
    )  # fmt: skip
    def test_abuse_100_a_url_with_two_readings_has_none(self, url: str) -> None:
        assert forbidden(url, allowed=LOOPBACK)

    @pytest.mark.parametrize(
        "url",
        [
            "gopher://127.0.0.1/",
            "file:///etc/passwd",
            "ftp://public.test/",
            "//public.test/",
            "javascript:alert(1)",
            "data:,x",
        ],
    )
    def test_abuse_101_only_http_goes_out(self, url: str) -> None:
        assert forbidden(url, allowed=LOOPBACK)

    def test_what_is_told_in_clear_stays_in_networks_that_are_allowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        resolving(monkeypatch, ["93.184.215.14"])
        assert forbidden("http://public.test/")

    def test_a_look_may_leave_in_clear_but_not_go_inside(self, monkeypatch: pytest.MonkeyPatch) -> None:
        public, inside = (ipaddress.ip_address(one) for one in ("93.184.215.14", "10.0.0.8"))
        reachable.check([public], (), host="public.test", may_leave=True)
        with pytest.raises(Forbidden):
            reachable.check([public, inside], (), host="public.test", may_leave=True)
        resolving(monkeypatch, ["127.0.0.1"])
        with pytest.raises(Forbidden):
            outward.get("http://here.test/", headers={}, allowed=())


@contextmanager
def full() -> Iterator[int]:
    """A port whose queue is full: it neither takes a connection nor refuses one."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, ExitStack() as filling:
        port: int = listening.getsockname()[1]
        for _ in range(4):
            one = filling.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        yield port


class TestHowMuch:
    @pytest.mark.parametrize("answer", [endless, endless_headers, dripping])
    def test_abuse_102_no_answer_holds_us(self, here: Receiver, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
        monkeypatch.setattr(outward, "SECONDS", 0.5)
        here.answer = answer
        began = time.monotonic()
        if answer is endless:
            assert send(here.url)[0] == 200
        else:
            with pytest.raises(Unreachable, match="did not answer"):
                send(here.url)
        assert time.monotonic() - began < 5

    def test_abuse_102_nobody_who_never_answers_holds_us(self, here: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outward, "SECONDS", 0.3)
        here.answer = lambda peer: time.sleep(3)
        with pytest.raises(Unreachable, match="did not answer"):
            send(here.url)

    def test_abuse_102_a_name_server_that_says_nothing_holds_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outward, "SECONDS", 0.3)
        silent = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: silent.wait(10) and [])
        began = time.monotonic()
        with pytest.raises(Unreachable) as caught:
            send("https://slow.test/")
        silent.set()
        assert time.monotonic() - began < 9
        assert not isinstance(caught.value, Forbidden)

    @pytest.mark.parametrize("where", ["in its answer", "at its door"])
    def test_abuse_102_what_the_name_server_took_is_not_had_again(
        self, here: Receiver, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        monkeypatch.setattr(outward, "SECONDS", 3.0)
        here.answer = lambda peer: time.sleep(6)
        with full() as port:
            aim = here.port if where == "in its answer" else port
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", aim))]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(2) or found)
            began = time.monotonic()
            with pytest.raises(Unreachable, match="did not answer"):
                send(f"http://slow.test:{aim}/")
            assert time.monotonic() - began < 4.9

    def test_abuse_102_a_handshake_that_drips_is_cut_off(self, here: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outward, "SECONDS", 0.5)
        listening = socket.create_server(("127.0.0.1", 0))

        def drip() -> None:
            peer, _ = listening.accept()
            with peer:
                try:
                    peer.sendall(b"\x16\x03\x03\x40\x00")
                    while True:
                        peer.sendall(b"\x00")
                        time.sleep(0.02)
                except OSError:
                    return

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        with listening, pytest.raises(Unreachable, match="did not answer"):
            send(f"https://127.0.0.1:{listening.getsockname()[1]}/")
        assert time.monotonic() - began < 5

    @pytest.mark.parametrize("data", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"\xff" * 100])
    def test_an_answer_that_is_none_is_an_error_of_theirs(self, here: Receiver, data: bytes) -> None:
        here.say(data)
        with pytest.raises(Unreachable) as caught:
            send(here.url)
        assert not isinstance(caught.value, Forbidden)

    def test_a_port_where_nobody_listens_may_open_later(self) -> None:
        with receiver() as gone:
            pass
        with pytest.raises(Unreachable) as caught:
            send(gone.url)
        assert not isinstance(caught.value, Forbidden)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=hook.test", "-addext", "subjectAltName=DNS:hook.test", "-keyout", home / "key", "-out", home / "crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    return home


class TestTls:
    @pytest.fixture
    def port(self, certificate: Path) -> Iterator[int]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "crt", certificate / "key")
        with socket.create_server(("127.0.0.1", 0)) as listening:
            threading.Thread(target=_tls, args=(listening, context), daemon=True).start()
            yield listening.getsockname()[1]
            listening.shutdown(socket.SHUT_RDWR)

    def test_the_certificate_must_be_the_names_and_not_the_addresss(
        self, certificate: Path, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "crt"))
        resolving(monkeypatch, ["127.0.0.1"])
        assert send(f"https://hook.test:{port}/")[0] == 204
        with pytest.raises(Unreachable, match="SSLCertVerificationError"):
            send(f"https://another.test:{port}/")

    def test_a_certificate_nobody_vouches_for_is_refused(self, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        resolving(monkeypatch, ["127.0.0.1"])
        with pytest.raises(Unreachable, match="SSLCertVerificationError"):
            send(f"https://hook.test:{port}/")


class TestFetch:
    """A body, but only so much of it, and only from where it can be believed."""

    def fetch(self, url: str, *, most: int = 100, allowed: Any = LOOPBACK) -> tuple[int, bytes]:
        return outward.fetch(url, headers={}, allowed=allowed, most=most)

    @pytest.mark.parametrize("head", [b"Content-Length: 4\r\n", b""])
    def test_answers_the_body(self, here: Receiver, head: bytes) -> None:
        here.say(b"HTTP/1.1 200 OK\r\n" + head + b"\r\nkeys")
        assert self.fetch(here.url) == (200, b"keys")
        assert self.fetch(here.url, most=4) == (200, b"keys")

    def test_abuse_102_reads_no_further_than_it_was_told(self, here: Receiver) -> None:
        here.say(b"HTTP/1.1 200 OK\r\n\r\nkeys")
        with pytest.raises(Unreachable, match="more than 3 bytes"):
            self.fetch(here.url, most=3)
        here.answer = endless
        with pytest.raises(Unreachable):
            self.fetch(here.url)

    def test_abuse_102_waits_for_no_drip(self, here: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outward, "SECONDS", 0.5)
        here.answer = dripping
        with pytest.raises(Unreachable):
            self.fetch(here.url)

    def test_believes_nothing_that_came_in_clear_from_outside(self, monkeypatch: pytest.MonkeyPatch) -> None:
        resolving(monkeypatch, ["93.184.216.34"])
        with pytest.raises(Forbidden, match="only https"):
            self.fetch("http://login.acme.test/keys")

    def test_abuse_095_fetches_nothing_from_inside(self, here: Receiver) -> None:
        with pytest.raises(Forbidden):
            self.fetch(here.url, allowed=())
        assert here.connections == 0


def _tls(listening: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            peer, _ = listening.accept()
            with context.wrap_socket(peer, server_side=True) as secured:
                secured.recv(65536)
                secured.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                secured.settimeout(5)
                while secured.recv(65536):  # closing on a body that was not read yet would take the answer back
                    pass
        except (ssl.SSLError, TimeoutError):
            continue
        except OSError:
            return
