"""The URL of a mail relay: what is refused, and what the parts become."""

import pytest

from connectors.email import relay

HERE = "from=countersign@acme.test"


class TestParse:
    @pytest.mark.parametrize(
        "url",
        [
            "", "smtps://mail.acme.test", f"smtps://?{HERE}", f"ftp://mail.acme.test?{HERE}", "console:", "file:///tmp/x",
            f"file:tmp?{HERE}", "smtps://mail.acme.test?from=nobody", "smtps://mail.acme.test?from=a@b%0d%0aBcc:x@y",
            f"smtps://mail.acme.test:port?{HERE}", f"smtps://erin@mail.acme.test?{HERE}", f"smtps://[::1?{HERE}",
        ],
    )  # fmt: skip
    def test_refuses_what_no_mail_can_leave_by(self, url):
        with pytest.raises(relay.BadUrl):
            relay.parse(url)

    def test_refuses_to_send_a_password_in_clear(self):
        with pytest.raises(relay.BadUrl, match="in clear"):
            relay.parse(f"smtp://erin:secret@mail.acme.test?{HERE}")
        assert relay.parse(f"smtp://erin:secret@127.0.0.1?{HERE}").password == "secret"

    def test_never_repeats_what_it_was_given(self):
        with pytest.raises(relay.BadUrl) as refused:
            relay.parse("smtp://erin:hunter2@mail.acme.test?from=x@y.test")
        assert "hunter2" not in str(refused.value)

    def test_reads_every_part(self):
        found = relay.parse(f"smtp+starttls://erin%40acme.test:p%2Fw@mail.acme.test?{HERE}")
        assert found == relay.Relay(
            "smtp+starttls", "countersign@acme.test", "mail.acme.test", 587, "erin@acme.test", "p/w"
        )
        assert relay.parse(f"smtps://mail.acme.test:2465?{HERE}").port == 2465

    def test_knows_the_try_outs(self):
        assert relay.parse(f"console:?{HERE}").scheme == "console"
        assert relay.parse(f"file:///var/mail%20box?{HERE}").folder == "/var/mail box"
