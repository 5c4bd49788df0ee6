"""Other ways to read a text in, where each part of them came from out."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_to_bytes

import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.inspection import readings, spotting
from countersign.inspection.catalogue import catalogue
from countersign.inspection.escapes import unescaped
from tests.countersign.inspection.corpus import HIDING

_PERCENT = st.text(alphabet="%4aAzZ=\r\n25", max_size=40).map(str.encode)
_LIGATURES = st.text(alphabet="ĳﬁ½…ａ\u200b%4a- ", max_size=20)
_PIECES = st.lists(
    st.text(max_size=6) | st.builds(lambda f, t: f(t), st.sampled_from(HIDING), st.text("ab1-", max_size=20))
)


class TestReadings:
    @given(_PERCENT)
    def test_escapes_are_decoded_as_the_standard_library_does(self, data):
        assert unescaped(data) == unquote_to_bytes(data)

    @given(st.integers(1000, 1040), _PERCENT)
    def test_escapes_on_the_border_of_two_parts_are_not_torn(self, before, data):
        text = b"x" * before + data
        read = [reading.data for reading in readings.readings(text)]
        assert unquote_to_bytes(text) in read

    @settings(max_examples=50, deadline=None)
    @given(_PIECES.map("".join))
    def test_every_part_comes_from_somewhere_and_in_order(self, text):
        data = text.encode("utf-8", "surrogatepass")
        for reading in readings.readings(data):
            last = 0
            for place in range(len(reading.data)):
                start, end = reading.origin(place, place + 1)
                assert 0 <= start <= end <= len(data)
                assert last <= start
                last = start

    @given(_LIGATURES)
    def test_letters_that_become_several_are_never_cut(self, text):
        data = text.encode()
        for reading in readings.readings(data):
            for place in (place for place, byte in enumerate(reading.data) if byte < 0x80):
                start, end = reading.origin(place, place + 1)
                data[:start].decode()
                data[end:].decode()

    def test_what_is_between_the_letters_of_a_word_belongs_to_it(self):
        data = "—ａ\u200b\u200bｂ\u200bc\u200b —".encode()
        folded = list(readings.readings(data))[1]
        place = folded.data.index(b"abc")
        start, end = folded.origin(place, place + 3)
        assert data[start:end].decode().startswith("ａ\u200b\u200bｂ\u200bc")


class TestCalled:
    def test_asks_every_rule_where_the_set_of_keywords_gives_up(self):
        """A set of patterns that runs out of memory answers as if nothing matched."""
        silent = re2.Set.SearchSet()
        silent.Add("never there")
        silent.Compile()
        known = catalogue()
        assert len(spotting._called(replace(known, keywords=silent), b"akia")) == len(known.rules)
        assert spotting._called(replace(known, keywords=silent), b"zzzz") == []


class TestSource:
    def test_the_notice_names_the_version_that_was_taken(self):
        root = Path(__file__).parents[3]
        source = (root / "countersign" / "inspection" / "rules" / "secrets.json").read_text()[:100]
        version = source.split("gitleaks ")[1].split(",")[0]
        assert version in (root / "NOTICE").read_text()
        assert version in (root / "docs" / "inspection.md").read_text()
