"""A client's certificate speaks only through a proxy of ours, whatever a request says of where it came from."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from enforcement import api, proxies
from enforcement.http import Request
from enforcement.proxies import stripped
from evidence import ledger
from tests.enforcement import machine
from tests.enforcement.machine import EVALUATION, question
from tests.worlds import AGENT, World, world

PROXY, STRANGER = "10.1.2.3", "203.0.113.9"
XFCC = "x-forwarded-client-cert"
PLAIN = "x-client-identity"
ALLOWED = (True, "allow", "rule")


def configured(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    given = {"trusted_proxies": "10.1.2.0/24, fd00::/8", **changes}
    monkeypatch.setattr(settings, "COUNTERSIGN", settings.COUNTERSIGN.model_copy(update=given))
    proxies.forget()


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    proxies.forget()


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, client_cert_header="X-Client-Identity", client_cert_format="plain")


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    own = world(caps={})
    own.apply(
        issuers=[
            {"id": "support-cert", "certificate": spiffe(own), "agent": AGENT},
            {"id": "support-name", "certificate": f"CN=support,O={own.slug}", "agent": AGENT},
        ]
    )
    return own


def spiffe(own: World) -> str:
    return f"spiffe://{own.slug}.test/agents/support"


def send(headers: Mapping[str, str], peer: str = PROXY, **changes: Any) -> machine.Reply:
    told = {"content-type": "application/json", **headers}
    body = machine.json.dumps(question(**changes)).encode()
    response = machine.run(api.answer(Request("POST", EVALUATION, "", told, body, peer)))
    return machine.Reply(response.status, dict(response.all_headers), response.body)


def envoy(uri: str) -> dict[str, str]:
    return {XFCC: f'By=spiffe://mesh/us;Hash=ab12;Subject="CN=\\"x\\",O=y;z";URI={uri};DNS=a.test'}


@pytest.mark.usefixtures("proxied")
class TestXfcc:
    def test_the_identity_speaks_as_its_one_agent(self, acme: World) -> None:
        reply = send(envoy(spiffe(acme)))
        assert reply.told == ALLOWED
        assert send(envoy(spiffe(acme)), subject={"type": "agent", "id": "other-bot"}).status == 403
        statement = ledger.find(acme.slug, reply.context["evaluation_id"])
        assert statement is not None
        assert statement["predicate"]["actor"]["auth"] == {"method": "certificate"}

    @pytest.mark.parametrize("peer", [STRANGER, "", "10.1.3.1", "unix", "10.1.2.3, 10.1.2.4", "fe80::1"])
    def test_is_taken_out_of_what_comes_from_anywhere_else(self, acme: World, peer: str) -> None:
        claiming = {**envoy(spiffe(acme)), "x-forwarded-for": PROXY, "x-real-ip": PROXY, "forwarded": f"for={PROXY}"}
        assert send(claiming, peer).status == 401
        assert XFCC not in stripped(Request("POST", EVALUATION, "", claiming, b"", peer)).headers

    @pytest.mark.parametrize("peer", ["10.1.2.255", "::ffff:10.1.2.3", "fd00::7"])
    def test_counts_from_any_proxy_however_its_address_is_written(self, acme: World, peer: str) -> None:
        assert send({**envoy(spiffe(acme)), "x-forwarded-for": STRANGER}, peer).told == ALLOWED

    @pytest.mark.parametrize(
        "told",
        [
            "", "URI=", 'URI=""', "Hash=ab12", "{0},URI=spiffe://other/a", "URI=spiffe://other/a,{0}", "{0};{0}",
            '{0};Subject="CN=a', "{0};;", "{0} spiffe://other/a;x", "x{0}", "{0}/", 'Subject="{0}"', "a" * 9000,
        ],
    )  # fmt: skip
    def test_refuses_what_tells_not_exactly_one_identity(self, acme: World, told: str) -> None:
        assert send({XFCC: told.format(f"URI={spiffe(acme)}")}).status == 401

    def test_reads_a_quoted_uri(self, acme: World) -> None:
        assert send({XFCC: f'Subject="CN=a,O=b";uri="{spiffe(acme)}"'}).told == ALLOWED

    def test_a_key_decides_alone(self, acme: World) -> None:
        dead = {**envoy(spiffe(acme)), "authorization": "Bearer csk_agent_aaaaaaaaaaaa_" + "a" * 43}
        assert send(dead).status == 401
        other = {**envoy("spiffe://nobody/"), "authorization": f"Bearer {acme.pep_key}"}
        assert send(other).told == ALLOWED

    def test_counts_from_the_next_request_on_what_is_registered(self) -> None:
        own = world(caps={})
        entry = {"id": "cert", "certificate": spiffe(own), "agent": AGENT}
        own.apply(issuers=[entry])
        assert send(envoy(spiffe(own))).told == ALLOWED
        own.apply(issuers=[{**entry, "active": False}])
        assert send(envoy(spiffe(own))).status == 401


@pytest.mark.usefixtures("plain")
class TestPlain:
    def test_the_header_is_the_identity_letter_by_letter(self, acme: World) -> None:
        name = f"CN=support,O={acme.slug}"
        assert send({PLAIN: f" {name} "}).told == ALLOWED
        assert send({PLAIN: spiffe(acme)}).told == ALLOWED
        for other in (name.lower(), f"{name},C=XX", f"{name};", "*", ""):
            assert send({PLAIN: other}).status == 401
        assert send(envoy(spiffe(acme))).status == 401

    def test_comes_by_the_other_way_in_as_well(self, acme: World) -> None:
        for peer, status in ((PROXY, 200), (STRANGER, 401)):
            reply = Client(REMOTE_ADDR=peer).post(
                EVALUATION, question(), content_type="application/json",
                headers={PLAIN: spiffe(acme), "x-forwarded-for": PROXY},
            )  # fmt: skip
            assert reply.status_code == status


class TestUnconfigured:
    def test_no_proxy_is_trusted_that_nobody_named(self, acme: World) -> None:
        for peer in ("127.0.0.1", "::1", PROXY, ""):
            assert send(envoy(spiffe(acme)), peer).status == 401
