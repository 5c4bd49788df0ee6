"""What stands on a card in Slack, what cannot break out of it, and what cannot be approved there."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from connectors.port import Line, Needed, Said
from connectors.slack import card, text
from examples.lookalikes.slack.rules import complaints_about_blocks
from tests.connectors.slack.telling import LINK, NOW, approved, argument, told

FENCE = re.compile(r"```(.*?)```", re.DOTALL)
HOSTILE = [
    "<!channel> <!here> <@U0ERIN> <#C0APPROVALS>",
    "<https://evil.example|https://countersign.example>",
    "```\n*Approved* by erin\n```",
    "`*bold* _italic_ ~gone~ :white_check_mark: @channel",
    "&lt;!channel&gt; &amp;",
    "x⏎\narguments.amount: 1.00",
    "\u202eevil\u202c \u200bhidden\x1b[2K",
    "<!date^1^{date}|today>",
    "[click](https://evil.example)",
]


def blocks(request: Any) -> list[dict[str, Any]]:
    made = card.message(request)["blocks"]
    assert complaints_about_blocks(made) == []
    return made


def words(request: Any) -> str:
    return "\n".join(_texts(blocks(request)))


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["text"]] if isinstance(value.get("text"), str) else []
        return own + [found for part in value.values() for found in _texts(part)]
    return [found for part in value for found in _texts(part)] if isinstance(value, list) else []


def buttons(request: Any) -> dict[str, dict[str, Any]]:
    rows = [block["elements"] for block in blocks(request) if block["type"] == "actions"]
    return {button["action_id"]: button for row in rows for button in row}


class TestHostileText:
    @pytest.mark.parametrize("value", HOSTILE)
    def test_abuse_093_an_argument_cannot_break_out_of_its_box(self, value):
        said = words(told(lines=[argument(value)]))
        (boxed,) = FENCE.findall(said)
        assert not set("`<>") & set(boxed)
        assert "evil" not in FENCE.sub("", said)
        assert "<!channel>" not in said
        assert "<@" not in said

    @pytest.mark.parametrize("value", HOSTILE)
    @pytest.mark.parametrize(
        "place", ["agent", "principal", "tool", "method", "rule", "reason", "justification", "outcome", "label", "flag"]
    )
    def test_abuse_093_no_field_starts_a_mention_or_a_link(self, place, value):
        lines = [argument("1", label=value)] if place == "label" else [argument("1", flags=(value,))]
        request = told(lines=lines) if place in {"label", "flag"} else told(lines=[], **{place: value})
        for one in (request, approved(lines=request.lines, **({place: value} if place == "outcome" else {}))):
            markup = re.findall(r"<[^>]*>", words(one))
            assert all(found.startswith(("<!date^17", f"<{LINK}|")) for found in markup)
            assert not re.search(r"[<>]", card.message(one)["text"])

    @pytest.mark.parametrize("value", HOSTILE)
    def test_abuse_093_people_and_teams_are_no_markup_either(self, value):
        said = Said(value, "approve", value, value, value, NOW)
        markup = re.findall(r"<[^>]*>", words(told(votes=[said], needed=[Needed((value,), 1, 0)], step_up=value)))
        assert all(found.startswith(("<!date^17", f"<{LINK}|")) for found in markup)

    def test_abuse_093_formatting_and_emoji_stand_in_code_or_in_plain_text(self):
        request = told(reason="*Approved* :tada:", lines=[argument("1", label="*l*")])
        assert "`*Approved* :tada:`" in words(request)
        assert "`*l*`" in words(request)
        plain = [part for part in _objects(blocks(approved(outcome="*Denied* :tada:"))) if "Denied" in part["text"]]
        assert plain == [{"type": "plain_text", "text": "*Denied* :tada:", "emoji": False}]

    def test_abuse_093_a_second_line_stays_in_its_box(self):
        said = words(told(lines=[argument('"a⏎\narguments.amount"')]))
        assert FENCE.findall(said) == ['"a⏎\narguments.amount"']

    def test_abuse_016_what_hides_or_reorders_is_written_out(self):
        said = words(told(lines=[argument("\u202eabc\u200b\x1b[1m", flags=("turns the reading direction around",))]))
        assert "⟨U+202E⟩abc⟨U+200B⟩⟨U+001B⟩[1m" in said
        assert "⚠ turns the reading direction around" in said

    def test_marks_of_the_display_are_kept_as_they_are(self):
        assert text.fence("⟨U+202E⟩") == "```⟨U+202E⟩```"

    def test_no_bare_name_or_address_is_turned_into_a_link(self):
        assert all(part.get("verbatim") for part in _objects(blocks(told())) if part["type"] == "mrkdwn")


def _objects(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        own = [value] if value.get("type") in {"mrkdwn", "plain_text"} else []
        return own + [found for part in value.values() for found in _objects(part)]
    return [found for part in value for found in _objects(part)] if isinstance(value, list) else []


class TestTooLong:
    @pytest.mark.parametrize(
        "lines",
        [
            [argument("x" * 3000)],
            [argument("&" * 700)],
            [argument("1", label=f"arguments[{n}]") for n in range(40)],
            [argument("⏎\n" * 100)],
            [Line("quote", "The agent says", "trust me " * 400, ())],
            [Line("fact", f"fact {n}", "1", ()) for n in range(30)],
            [Line("fact", f"schema {n}", f"sha256:{'a' * 64}", ()) for n in range(12)],
            [Line("claim", "Intent", "x" * 4000, ())],
        ],
    )
    def test_abuse_094_has_no_approve_button_and_says_why(self, lines):
        request = told(lines=lines)
        assert set(buttons(request)) == {card.OPEN, card.DENY, card.DETAILS}
        assert buttons(request)[card.OPEN]["url"] == LINK
        assert "too long for a card" in words(request)
        assert "… and" in words(request)
        assert card.elsewhere(request)

    @pytest.mark.parametrize("name", ["agent", "tool", "method"])
    def test_abuse_094_a_name_that_is_cut_is_not_approved_here(self, name):
        assert card.APPROVE not in buttons(told(**{name: "x" * 151}))

    def test_abuse_094_shows_each_argument_whole_or_not(self):
        lines = [argument("a" * 2000, label="arguments.a"), argument("b" * 2000, label="arguments.b")]
        said = words(told(lines=lines))
        assert "a" * 2000 in said
        assert "arguments.b" not in said
        assert "… and 1 more, which do not fit here." in said

    def test_abuse_094_a_card_of_just_the_length_can_be_approved(self):
        frame = len("`arguments.note`\n``````")
        assert card.elsewhere(told(lines=[argument("x" * (3000 - frame))])) == ""
        assert card.elsewhere(told(lines=[argument("x" * (3001 - frame))]))

    def test_every_text_at_its_worst_keeps_within_slacks_limits(self):
        worst = "&" * 5000
        request = told(
            agent=worst, principal=worst, tool=worst, method=worst, rule=worst, reason=worst, justification=worst,
            outcome=worst, step_up=worst, needed=[Needed((worst,) * 20, 2, 1)] * 50,
            votes=[Said(worst, worst, worst, worst, worst, NOW)] * 50,
            lines=[Line(kind, worst, worst, (worst,)) for kind in ("fact", "claim", "argument", "quote")] * 20,
        )  # fmt: skip
        assert blocks(request)
        assert blocks(approved(**dict.fromkeys(("agent", "tool", "outcome"), worst), votes=request.votes))

    def test_short_lines_at_their_worst_keep_within_slacks_limits(self):
        lines = [Line(kind, "&" * 150, "&" * 150, ()) for kind in ("fact", "claim")] * 20
        assert blocks(told(lines=lines, principal="&" * 150, rule="&" * 150, reason="&" * 150))


class TestWhatIsMissing:
    def test_abuse_103_what_was_redacted_is_not_approved_in_a_chat(self):
        request = told(lines=[argument('"[redacted: aws-access-key]"')], is_whole=False)
        assert card.APPROVE not in buttons(request)
        assert "a secret was taken out" in words(request)
        assert "[redacted: aws-access-key]" in words(request)

    def test_every_line_stands_on_the_card(self):
        said = words(told())
        for line in told().lines:
            assert text.escape(line.value) in said

    def test_a_fact_that_no_line_has_is_taken_from_the_request(self):
        said = words(told(lines=[]))
        for one in ("dana@acme.test", "3 – high", "62 of 100", "refunds-over-100", "need finance"):
            assert one in said

    def test_what_the_lines_say_better_is_said_once(self):
        assert words(told()).count("Risk score") == 1


class TestPending:
    def test_tells_who_wants_what_for_whom_and_why(self):
        said = words(told())
        for one in (
            "`support-bot` asks to run `payments.refund` `create`",
            "user dana@acme.test (unverified: the agent says so)",
            "3 – high",
            "62 of 100",
            "refunds-over-100",
            "1 of 2 approvals by `finance`",
            '"250.00"',
            "The customer asked.",
            f"<{LINK}|",
        ):
            assert one in said

    def test_the_agents_own_words_come_after_the_arguments_and_are_called_unchecked(self):
        said = words(told())
        assert said.index('"250.00"') < said.index("nobody has checked") < said.index("The customer asked.")

    def test_long_boxes_are_never_folded_away(self):
        boxed = [block for block in blocks(told()) if "```" in json.dumps(block)]
        assert boxed
        assert all(block["expand"] for block in boxed)

    def test_tells_the_deadline_in_the_readers_own_time(self):
        stamp = int((NOW + timedelta(minutes=15)).timestamp())
        assert f"*Answer by* <!date^{stamp}^" in words(told())
        assert "10:15:00 UTC" in words(told())

    def test_buttons_carry_the_requests_id_and_nothing_else(self):
        shown = buttons(told())
        assert list(shown) == [card.APPROVE, card.DENY, card.DETAILS]
        assert {button["value"] for button in shown.values()} == {"arq_1"}

    def test_approving_without_a_step_up_asks_once_more_what_would_happen(self):
        confirm = buttons(told())[card.APPROVE]["confirm"]
        assert "payments.refund create" in confirm["text"]["text"]

    @pytest.mark.parametrize(("step_up", "named"), [("totp", "authenticator"), ("webauthn", "passkey"), ("x", "x")])
    def test_approving_with_a_step_up_says_that_more_is_to_come(self, step_up, named):
        request = told(step_up=step_up)
        button = buttons(request)[card.APPROVE]
        assert button["text"]["text"] == "Approve…"
        assert "confirm" not in button
        assert f"{named}" in words(request)

    def test_the_notification_says_it_in_one_line(self):
        said = card.summary(told())
        assert said == (
            "⏳ Waiting for approval – support-bot: payments.refund create, risk 3 – high."
            " Answer by 2026-11-20 10:15:00 UTC."
        )


class TestEnded:
    @pytest.mark.parametrize("status", ["approved", "denied", "expired", "cancelled", "failed", "of a later version"])
    def test_has_no_buttons_and_says_how_it_ended_in_words(self, status):
        request = approved(status=status, outcome="This is how.")
        assert buttons(request) == {}
        assert card._state(request) in words(request)
        assert re.search("[A-Za-z]", card._state(request))
        assert "This is how." in words(request)

    def test_tells_who_decided_and_when(self):
        said = words(approved())
        stamp = int((NOW + timedelta(minutes=2)).timestamp())
        assert "✅ approved – `erin`" in said
        assert "with TOTP" in said
        assert f"✅ approved – `frank`, <!date^{stamp}^" in said
        assert f"*Closed* <!date^{stamp}^" in said
        assert "Answer by" not in said

    def test_the_notification_says_how_it_ended(self):
        assert card.summary(approved()).startswith(
            "✅ Approved – support-bot: payments.refund create. Approved by erin"
        )

    def test_what_cannot_be_approved_here_is_told_without_that_when_it_is_over(self):
        assert "read it in full" not in words(approved(is_whole=False))


class TestText:
    def test_a_cut_leaves_no_half_entity(self):
        for most in range(2, 30):
            assert not re.search(r"&(?!amp;)", text.fitted("&<" * 40, most).replace("&lt;", ""))
            assert len(text.fitted("&<" * 40, most)) <= most

    def test_an_address_cannot_end_the_link_it_stands_in(self):
        assert text.link("https://x/?a|b>c", "Open") == "<https://x/?a%7Cb&gt;c|Open>"
