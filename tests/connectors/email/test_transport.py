"""Letters over a real SMTP server on loopback: what they say, what they never carry, and how failures are told."""

from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from connectors.email import transport
from connectors.email.transport import Email
from connectors.port import Account, Line, Place, TransportError
from tests.connectors.email.smtp import Sink, sink
from tests.connectors.sample import HOSTILE, closed, told

ERIN = Place("email", "erin@acme.test", {})
LINK = "http://testserver/requests/arq_01k0000000abcdefghjkmnpq/"


@pytest.fixture
def server() -> Iterator[Sink]:
    with sink() as made:
        yield made


@pytest.fixture
def mail(server: Sink, monkeypatch: pytest.MonkeyPatch) -> Email:
    monkeypatch.setattr(transport, "_SECONDS", 1)
    return opened(f"smtp://127.0.0.1:{server.port}?from=countersign@acme.test")


def opened(url: str) -> Email:
    return transport.open_(Account("acme", 1, "email", {"url": url, "sender": "countersign@acme.test"}))


class Tags(HTMLParser):
    """Every tag and attribute of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


class TestFailures:
    @pytest.mark.parametrize(
        ("answers", "permanent"),
        [
            ({"RCPT": "550 no such box <secret>"}, True), ({"RCPT": "451 greylisted"}, False),
            ({"MAIL": "550 go away"}, True), ({".": "552 too big"}, True), ({".": "452 full"}, False),
            ({"CONNECT": "554 no"}, True), ({"CONNECT": "421 later"}, False), ({"RCPT": "hang"}, False),
            ({".": "cut"}, False), ({"CONNECT": "cut"}, False), ({"DATA": "451 not now"}, False),
        ],
    )  # fmt: skip
    def test_are_told_apart_for_good_or_for_now(self, mail, server, answers, permanent):
        server.answers = answers
        with pytest.raises(TransportError) as failed:
            mail.post(ERIN, told())
        assert failed.value.permanent is permanent
        assert "secret" not in str(failed.value)
        assert not server.raw

    def test_a_refused_password_is_for_good_and_not_repeated(self, server):
        server.answers = {"AUTH": "535 hunter2 is wrong"}
        with pytest.raises(TransportError) as failed:
            opened(f"smtp://erin:hunter2@127.0.0.1:{server.port}?from=countersign@acme.test").check()
        assert failed.value.permanent
        assert "hunter2" not in str(failed.value)

    def test_a_relay_that_cannot_encrypt_is_not_used(self, server):
        with pytest.raises(TransportError):
            opened(f"smtp+starttls://127.0.0.1:{server.port}?from=countersign@acme.test").post(ERIN, told())
        assert not server.raw

    def test_a_relay_that_is_away_is_for_now(self):
        with pytest.raises(TransportError) as failed:
            opened("smtp://127.0.0.1:1?from=countersign@acme.test").check()
        assert not failed.value.permanent

    @pytest.mark.parametrize("key", ["erin", "a@b.test, c@d.test", "a@b.test\r\nBcc: c@d.test", "", "<a@b.test>"])
    def test_what_is_no_one_address_gets_no_letter(self, mail, server, key):
        with pytest.raises(TransportError) as failed:
            mail.say(Place("email", key, {}), "hello")
        assert failed.value.permanent
        assert not server.raw

    @pytest.mark.parametrize("url", ["file:///tmp/anywhere?from=a@b.test", "console:?from=a@b.test", "nonsense"])
    def test_a_tenants_own_settings_reach_no_file_of_this_machine(self, url):
        with pytest.raises(TransportError):
            opened(url)


class TestPost:
    def test_asks_with_the_lines_and_the_link_in_both_forms(self, mail, server):
        mail.post(ERIN, told())
        (letter,) = server.letters
        assert letter["Subject"] == "Approval needed: payments.refund create by support-bot"
        assert (letter["To"], letter["From"]) == ("erin@acme.test", "countersign@acme.test")
        assert letter.get_content_type() == "multipart/alternative"
        for form in ("plain", "html"):
            body = letter.get_body((form,)).get_content()
            for said in ("arguments.amount", "250.00", LINK, "0 of 2", "finance", "look twice", "2026-11-20 10:15 UTC"):
                assert said in body, (form, said)

    def test_says_of_itself_that_it_is_a_machines(self, mail, server):
        mail.post(ERIN, told())
        assert server.letters[0]["Auto-Submitted"] == "auto-generated"
        assert "Replies are not read" in server.letters[0].get_body(("plain",)).get_content()

    def test_carries_nothing_that_loads_or_votes(self, mail, server):
        mail.post(ERIN, told())
        tags = Tags(server.letters[0].get_body(("html",)).get_content()).found
        assert {tag for tag, _ in tags}.isdisjoint({"img", "script", "style", "link", "form", "input", "iframe"})
        assert [given["href"] for tag, given in tags if tag == "a"] == [LINK]
        assert not any("style" in given or "bgcolor" in given or "src" in given for _, given in tags)

    def test_escapes_what_an_agent_wrote_and_lets_it_begin_no_line(self, mail, server):
        lines = (Line("argument", "note", HOSTILE, ()), Line("quote", "The agent says", HOSTILE, ()))
        mail.post(ERIN, told(lines=lines))
        (letter,) = server.letters
        page, text = (letter.get_body((form,)).get_content() for form in ("html", "plain"))
        assert {tag for tag, _ in Tags(page).found}.isdisjoint({"b", "i"})
        assert "⟨U+202E⟩" in page
        assert not any(line.startswith("Risk tier: 1") for line in text.splitlines())
        assert "believed by nobody" in text

    @pytest.mark.parametrize("name", ["x\r\nBcc: mallory@evil.test", "x\nSubject: y", "\u202eevil", "x" * 500])
    def test_no_name_gets_out_of_the_subject(self, mail, server, name):
        mail.post(ERIN, told(tool=name, agent=name))
        (letter,) = server.letters
        assert letter["Bcc"] is None
        assert len(letter.get_all("Subject")) == 1
        assert len(letter["Subject"].strip()) <= 120
        assert "\u202e" not in letter["Subject"]

    def test_the_subject_has_no_word_of_the_agents(self, mail, server):
        lines = (Line("argument", "note", "tell-tale", ()),)
        mail.post(ERIN, told(lines=lines, justification="tell-tale", principal="tell-tale", reason="tell-tale"))
        assert "tell-tale" not in server.letters[0]["Subject"]

    def test_a_second_try_has_the_same_message_id_and_another_address_another(self, mail, server):
        first, again = mail.post(ERIN, told()), mail.post(ERIN, told())
        other = mail.post(Place("email", "frank@acme.test", {}), told())
        assert first == again != other
        assert server.letters[0]["Message-ID"] == server.letters[1]["Message-ID"] == first["message_id"]
        assert mail.find(ERIN, told().name) is None

    def test_a_request_that_is_over_leaves_no_letter(self, mail, server):
        ref = mail.post(ERIN, closed())
        mail.edit(ERIN, ref, closed())
        assert not server.raw

    def test_says_that_not_everything_is_told(self, mail, server):
        mail.post(ERIN, told(is_whole=False, step_up="totp"))
        for form in ("plain", "html"):
            body = server.letters[0].get_body((form,)).get_content()
            assert "the page shows the whole request" in body
            assert "authenticator" in body


class TestEdit:
    def test_a_vote_is_no_letter(self, mail, server):
        ref = mail.post(ERIN, told())
        assert mail.edit(ERIN, ref, told(version=2)) == ref
        assert len(server.raw) == 1

    @pytest.mark.parametrize("status", ["approved", "denied", "expired", "cancelled"])
    def test_the_end_is_one_letter_in_the_same_thread(self, mail, server, status):
        ref = mail.post(ERIN, told())
        ended = mail.edit(ERIN, ref, closed(status))
        assert mail.edit(ERIN, ended, closed(status, version=4)) == ended
        asked, over = server.letters
        assert over["In-Reply-To"] == over["References"] == asked["Message-ID"]
        assert over["Message-ID"] != asked["Message-ID"]
        assert over["Subject"] == f"Re: {asked['Subject']}"
        assert f"The request is {status}." in over.get_body(("plain",)).get_content()
        assert "erin voted" in over.get_body(("html",)).get_content()


class TestSay:
    def test_takes_its_first_line_for_the_subject(self, mail, server):
        mail.say(ERIN, "Six requests wait for you\nhttp://testserver/inbox/\n<b>x</b>")
        (letter,) = server.letters
        assert letter["Subject"] == "Six requests wait for you"
        assert "http://testserver/inbox/" in letter.get_body(("plain",)).get_content()
        assert "<b>" not in letter.get_body(("html",)).get_content()


class TestCheck:
    def test_signs_in_and_sends_nothing(self, mail, server):
        assert "127.0.0.1" in mail.check()
        assert not server.raw

    def test_writes_files_where_this_service_says_so(self, settings, tmp_path):
        url = f"file://{tmp_path}?from=countersign@acme.test"
        settings.COUNTERSIGN = settings.COUNTERSIGN.model_copy(update={"email_url": url})
        opened(url).post(ERIN, told())
        assert LINK in next(tmp_path.iterdir()).read_text()
