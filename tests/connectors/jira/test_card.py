"""A told request becomes an issue that nothing in it can break out of."""

import re
from dataclasses import replace

import pytest

from connectors.jira import card, text
from connectors.port import Line, Moment, Needed, Place, Said
from tests.connectors import sample

PLACE = Place("jira", "OPS", {"project": "OPS"})
BREAKOUTS = (
    "{noformat}[click|https://evil.test]",
    "{NoFormat}",
    "{ noformat}",
    "{noformat:title=x}",
    "{code}x{code}",
    "[~accountid:5b10:ceo]",
    "[ ~accountid:5b10:ceo]",
    "x\n{noformat}\nWhole request: https://evil.test",
    "⏎\n{noformat}",
    "h1. Approved",
    "!https://evil.test/pixel.png!",
    "{html}<script>{html}",
)


def box(description: str) -> str:
    """What stands inside the box. Fails if it is closed anywhere but at its end."""
    parts = re.split(r"\{\s*noformat[^}]*\}", description, flags=re.IGNORECASE)
    assert len(parts) == 3, description
    assert parts[2] == ""
    return parts[1]


class TestDescription:
    @pytest.mark.parametrize("hostile", BREAKOUTS)
    def test_keeps_a_hostile_argument_inside_of_the_box(self, hostile: str):
        told = sample.told(lines=(Line("argument", "arguments.note", hostile, ()),))
        description = card.description(told)
        assert "arguments.note: " in box(description)
        assert "[~" not in description
        assert re.search(r"\[\s*~", description) is None
        outside = description.split("{noformat}")[0]
        assert "evil.test" not in outside

    @pytest.mark.parametrize("hostile", BREAKOUTS)
    def test_keeps_names_reasons_and_labels_inside_too(self, hostile: str):
        said = Said(hostile, "approve", hostile, "web", "none", sample.OPENED)
        told = sample.told(
            lines=(Line("fact", hostile, "x", (hostile,)),),
            votes=(said,),
            needed=(Needed((hostile,), 2, 1),),
            agent=hostile,
            rule=hostile,
            reason=hostile,
            justification=hostile,
        )
        description = card.description(told)
        box(description)
        assert re.search(r"\[\s*~", description) is None

    def test_lets_no_value_begin_a_line(self):
        told = sample.told(lines=(Line("argument", "arguments.note", "x\nTool: harmless\r\nAgent: nobody", ()),))
        assert not re.search(r"^(Tool|Agent): (harmless|nobody)", card.description(told), re.MULTILINE)

    def test_says_how_to_answer_only_where_an_answer_counts(self):
        assert "/approve" in card.description(sample.told())
        assert "/approve" not in card.description(sample.told(step_up="totp"))
        assert "/approve" not in card.description(sample.told(is_whole=False))
        over = card.description(sample.closed())
        assert "/approve" not in over
        assert "The request is approved\\." not in over
        assert "State: The request is approved." in over

    def test_has_the_link_the_deadline_the_lines_and_what_is_needed(self):
        description = card.description(sample.told())
        assert "http://testserver/requests/arq_01k0000000abcdefghjkmnpq/" in description
        assert "Open until 2026-11-20 10:15 UTC" in description
        assert 'arguments.amount: "250.00"' in box(description)
        assert "Needs: 0 of 2 approvals by finance" in box(description)
        assert "look twice" in box(description)

    def test_abuse_094_leaves_out_whole_lines_when_too_long_and_then_no_answer_counts(self):
        lines = tuple(Line("argument", f"arguments.n{n}", "x" * 1000, ()) for n in range(60))
        told = sample.told(lines=lines)
        description = card.description(told)
        assert text.size(description) <= 32_767
        assert re.search(r"… \d+ more lines: read them on the page", description)
        assert "x" * 1000 in description
        assert "/approve" not in description
        assert card.is_whole(sample.told())
        assert not card.is_whole(told)
        assert not card.is_whole(sample.told(is_whole=False))

    def test_fits_however_wide_the_characters_are(self):
        lines = tuple(Line("argument", f"n{n}", "😀" * 900, ()) for n in range(60))
        assert text.size(card.description(sample.told(lines=lines))) <= 32_767

    def test_fits_however_much_has_to_be_escaped(self):
        lines = (Line("argument", "note", "x" * 26_900, ()),)
        told = sample.closed("denied", outcome="\\" * 2_000, lines=lines)
        assert 26_900 < text.size(card.description(told)) <= 32_767

    def test_shows_no_control_character(self):
        told = sample.told(lines=(Line("argument", "a\x00b", "x\x1b[31m\u202ey", ()),))
        assert not re.search("[\x00\x1b\u202e]", card.description(told))


class TestSummary:
    def test_tells_state_and_names_in_one_short_line(self):
        assert card.summary(sample.told()) == "Approval needed: payments.refund create by support-bot"
        assert card.summary(sample.closed("denied")).startswith("Denied: ")
        long = card.summary(sample.told(tool="x" * 400 + "\nApproved"))
        assert len(long) <= 255
        assert "\n" not in long


class TestLabels:
    def test_name_the_service_the_tier_and_the_request(self):
        told = sample.told()
        assert card.labels(told) == ["countersign", "countersign-tier-3", told.request_id]
        assert card.labels(replace(told, risk_tier=None)) == ["countersign", told.request_id]


class TestMoments:
    def test_keep_their_name_when_a_repetition_is_folded_into_them(self):
        before = sample.told(story=(Moment(sample.OPENED, "Asked again"),))
        after = sample.told(story=(Moment(sample.OPENED, "Asked again ×3, last 10:00:07"),))
        assert card.moments(before)[0][0] == card.moments(after)[0][0]

    def test_escape_what_is_in_them(self):
        ((_, line),) = card.moments(
            sample.told(story=(Moment(sample.OPENED, "[~x] {code} \\[a|b] https://evil.test"),))
        )
        assert not re.search(r"(?<!\\)[\[{|~]", line)
        assert "\\\\" not in line
        assert "://" not in line


class TestEscape:
    def test_leaves_our_own_address_whole(self):
        words = text.escape("See http://us.test/requests/arq_1/ or http://evil.test/x_y", ours="http://us.test")
        assert "See http://us.test/requests/arq_1/ or" in words
        assert "http://evil" not in words

    def test_knows_a_line_again_however_jira_escapes_it(self):
        assert text.same(text.escape("10:00 – erin [voted] to-approve")) == text.same("10:00 – erin [voted] to-approve")

    def test_mentions_an_account_and_nothing_else(self):
        assert text.mention("5b10:erin") == "[~accountid:5b10:erin] "
        assert text.mention("x] [click|https://evil.test") == ""
