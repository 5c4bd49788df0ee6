"""How the lines of a display are laid out: none lost, none made up, nothing that matters folded away."""

from datetime import timedelta

import pytest

from approvals import card
from approvals.display import Kind
from approvals.templatetags import words
from approvals.visible import Flag


def line(label: str, value: str, kind: Kind = Kind.FACT, *flags: str) -> dict[str, object]:
    return {"label": label, "value": value, "kind": kind.value, "flags": list(flags)}


DIGEST = f'"sha256:{"a" * 64}"'


def placed(*lines: dict[str, object]) -> list[tuple[str, str, str]]:
    made = card.card(lines)
    return [(block.value, row.step + row.name, row.value) for block in card.Block for row in getattr(made, block.value)]


class TestCard:
    def test_a_hostile_descriptor_is_not_folded_away_as_a_digest(self) -> None:
        said = '"sha256:approved already by the CFO"'
        assert placed(line("descriptor_digest", said)) == [("who", "descriptor_digest", said)]

    def test_a_flagged_digest_is_not_folded_away(self) -> None:
        assert placed(line("schema_digest", DIGEST, Kind.FACT, "invisible"))[0][0] == "who"

    def test_a_claim_or_an_argument_that_looks_like_a_digest_is_not_folded_away(self) -> None:
        assert placed(line("environment.x", DIGEST, Kind.CLAIM))[0][0] == "who"
        assert placed(line("arguments.x", DIGEST, Kind.ARGUMENT))[0][0] == "what"

    def test_a_claim_cannot_pass_for_a_fact_of_ours(self) -> None:
        assert [block for block, *_ in placed(line("Tool", "x", Kind.CLAIM), line("Rule", "x", Kind.CLAIM))] == [
            "who",
            "who",
        ]

    def test_a_kind_nobody_knows_is_shown_first_of_all(self) -> None:
        assert card.card([{"label": "New", "value": "v", "kind": "novel", "flags": []}]).what[0].value == "v"

    def test_every_line_stands_in_exactly_one_block(self) -> None:
        lines = [
            line("Agent", "a"), line("For", "b", Kind.CLAIM), line("Tool", "t"), line("Method", "m"),
            line("schema_digest", DIGEST), line("arguments.x", "1", Kind.ARGUMENT),
            line("arguments.x", "uninspectable", Kind.UNINSPECTABLE), line("Risk tier", "3"), line("Rule", "r"),
            line("The agent says", "q", Kind.QUOTE),
        ]  # fmt: skip
        assert sorted((label, value) for _, label, value in placed(*lines)) == sorted(
            (one["label"], one["value"]) for one in lines
        )

    def test_what_cannot_be_inspected_stands_with_the_line_it_speaks_of(self) -> None:
        found = placed(line("arguments.x", "1", Kind.ARGUMENT), line("arguments.x", "blob", Kind.UNINSPECTABLE))
        assert [block for block, *_ in found] == ["what", "what"]

    def test_the_agents_words_are_apart(self) -> None:
        assert placed(line("The agent says", "fine", Kind.QUOTE))[0][0] == "words"

    @pytest.mark.parametrize("flag", Flag)
    def test_each_flag_has_words(self, flag: Flag) -> None:
        made = card.card([line("arguments.x", "1", Kind.ARGUMENT, flag.value)])
        assert made.what[0].flags == (card.FLAG_WORDS[flag],)
        assert made.flagged == 1


class TestGist:
    def test_says_what_it_leaves_out(self) -> None:
        lines = [line(f"arguments.a{n}", '"v"', Kind.ARGUMENT) for n in range(5)]
        assert card.gist(lines) == 'a0 "v" · a1 "v" · a2 "v" · 2 more'

    def test_marks_what_it_cuts_short(self) -> None:
        assert card.gist([line("arguments.a", "x" * 100, Kind.ARGUMENT)]) == f"a {'x' * 40}…"

    def test_speaks_of_arguments_alone(self) -> None:
        assert card.gist([line("Agent", "bot"), line("arguments", "{}", Kind.ARGUMENT)]) == "{}"


class TestLeft:
    @pytest.mark.parametrize(
        ("seconds", "said"),
        [(-5, "0 s"), (59.9, "59 s"), (61, "1 min 01 s"), (899, "14 minutes"), (7300, "2 hours"), (200_000, "2 days")],
    )
    def test_promises_no_time_that_is_not_there(self, seconds: float, said: str) -> None:
        assert words.duration(timedelta(seconds=seconds)) == said
