"""Labels of a waiver's grant, in words where we have some."""

import pytest

from approvals.waivers import labels


class TestWords:
    @pytest.mark.parametrize(
        ("label", "words"),
        [
            ("arguments.terms.rules[0]", "Rule it lifts"),
            ("arguments.terms.match.agents[12]", "Lets through: agent"),
            ("arguments.terms.expires_at", "Until"),
            ("arguments.terms.controls[1].valid_until", "Instead, 2: good until"),
            ("arguments.terms.controls[0].properties.channel", "Instead, 1: properties.channel"),
            ("arguments.pinned.agents[0]", "As it is now: agent"),
            ("arguments.pinned.rules.refunds-over-100", "As it is now: rule refunds-over-100"),
            (
                'arguments.pinned.tools["payments.refund"].risk_tier',
                "As it is now: tool payments.refund, its risk tier",
            ),
            ("arguments.pinned.tools.search.schema_digest", "As it is now: tool search, its schema"),
        ],
    )
    def test_say_what_stands_there(self, label: str, words: str) -> None:
        assert labels.words(label) == words

    @pytest.mark.parametrize(
        "label",
        [
            "Tool",
            "arguments.amount",
            "arguments.terms.other",
            'arguments.pinned.rules["odd name"]',
            "arguments.pinned.x",
        ],
    )
    def test_leave_what_we_have_no_words_for(self, label: str) -> None:
        assert labels.words(label) == label
