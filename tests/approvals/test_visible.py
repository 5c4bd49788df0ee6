"""Hostile characters, shown."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.visible import Flag, visible


class TestTricks:
    @pytest.mark.parametrize("character", ["\u200b", "\u200d", "\ufeff", "\u00ad", "\u3164", "\u2800", "\U000e0041"])
    def test_abuse_014_zero_width_is_escaped_and_flagged(self, character: str) -> None:
        seen = visible(f"pay{character}ee")
        assert seen.text == f"pay⟨U+{ord(character):04X}⟩ee"
        assert seen.flags == {Flag.INVISIBLE}

    @pytest.mark.parametrize("character", "\u202e\u202d\u2066\u2069\u200f\u061c")
    def test_abuse_016_bidi_is_escaped_and_flagged(self, character: str) -> None:
        seen = visible(f"invoice{character}fdp.exe")
        assert character not in seen.text
        assert f"⟨U+{ord(character):04X}⟩" in seen.text
        assert Flag.BIDI in seen.flags

    @pytest.mark.parametrize("text", ["\x1b[2K\x1b[1Gsafe", "a\rb", "a\x08b", "a\x9bb", "a\tb", "a\x7fb"])
    def test_abuse_017_terminal_and_overwriting_controls_are_escaped(self, text: str) -> None:
        seen = visible(text)
        assert seen.text.isprintable()
        assert Flag.CONTROL in seen.flags

    def test_abuse_015_a_cyrillic_letter_in_a_latin_word_is_escaped(self) -> None:
        seen = visible("p\u0430ypal.com")
        assert seen.text == "p⟨U+0430⟩ypal.com"
        assert seen.flags == {Flag.MIXED_SCRIPT}

    def test_abuse_015_a_value_of_lookalikes_alone_is_escaped(self) -> None:
        seen = visible("\u0430\u0441\u0435")
        assert seen.text == "⟨U+0430⟩⟨U+0441⟩⟨U+0435⟩"
        assert seen.flags == {Flag.HOMOGLYPH}

    @pytest.mark.parametrize("text", ["\uff41cme", "\U0001d429ay", "1\uff10\uff10"])
    def test_abuse_015_styled_letters_and_digits_are_escaped(self, text: str) -> None:
        assert Flag.HOMOGLYPH in visible(text).flags

    @pytest.mark.parametrize("text", ["Zu\u0308rich", "caf\u0065\u0301", "\u212bngstrom", "\u1112\u1161\u11ab"])
    def test_abuse_013_what_is_not_in_normal_form_is_escaped(self, text: str) -> None:
        composed = visible(unicodedata.normalize("NFC", text))
        seen = visible(text)
        assert Flag.NOT_NORMALISED in seen.flags
        assert seen.text != composed.text
        assert not composed.flags

    def test_piles_of_marks_are_cut_down(self) -> None:
        seen = visible("x" + "\u0323\u0332\u0333" * 3)
        assert Flag.COMBINING in seen.flags
        assert "⟨U+0333⟩" in seen.text

    @pytest.mark.parametrize("character", ["\ue000", "\U0010ffff", "\u0378"])
    def test_characters_nobody_knows_are_escaped(self, character: str) -> None:
        assert visible(character).flags == {Flag.UNASSIGNED}

    @pytest.mark.parametrize("character", ["\u00a0", "\u2003", "\u2028", "\u2029"])
    def test_odd_spaces_and_line_ends_are_escaped(self, character: str) -> None:
        assert visible(f"a{character}b").flags == {Flag.INVISIBLE}


class TestHonestText:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "Order A-1001",
            "Zürich, Łódź, Ærø",
            "Москва",
            "Ελλάδα",
            "東京タワー",
            "APIを使う",
            "서울",
            "עברית",
            "₹ 250 – “ok” ✓ 🎉",
            "x² + m³",
        ],
    )
    def test_stays_as_it_is(self, text: str) -> None:
        seen = visible(text)
        assert (seen.text, seen.flags) == (text, frozenset())

    def test_a_line_break_stays_one_and_is_marked(self) -> None:
        assert visible("a\nb").text == "a⏎\nb"

    def test_our_own_marks_are_escaped(self) -> None:
        assert visible("⟨U+202E⟩ ⏎").text == "⟨U+27E8⟩U+202E⟨U+27E9⟩ ⟨U+23CE⟩"


class TestLaws:
    @given(st.text(), st.text())
    def test_different_texts_never_look_the_same(self, one: str, other: str) -> None:
        assert (visible(one).text == visible(other).text) == (one == other)

    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def test_what_is_shown_has_no_trick_left(self, text: str) -> None:
        shown = visible(text).text.replace("\n", "")
        assert all(unicodedata.category(one) not in {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"} for one in shown)
        assert not any(unicodedata.category(one) == "Zs" and one != " " for one in shown)

    @given(st.text())
    def test_whatever_changed_is_flagged(self, text: str) -> None:
        seen = visible(text)
        harmless = {"\n", "⟨", "⟩", "⏎"}
        if not harmless & set(text):
            assert (seen.text == text) or seen.flags
