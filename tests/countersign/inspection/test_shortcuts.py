"""Each step that is taken in bulk, beside the same step taken letter by letter: they must never differ."""

import binascii
import re
from urllib.parse import unquote_to_bytes

import pytest
import re2
from hypothesis import example, given, settings
from hypothesis import strategies as st

from countersign.inspection import base64_runs, readings, spotting
from countersign.inspection.catalogue import catalogue
from countersign.inspection.effort import Effort
from countersign.inspection.escapes import unescaped
from countersign.inspection.folding import bytes_of, folded, is_plain, plain, text_of
from tests.countersign.inspection.corpus import HIDING, IN_CONTEXT, SECRETS
from tests.countersign.inspection.negatives import NEGATIVES

LETTERS = "ab1%=/+-_ \n\r\x00\x7féß中ａ％½¨ﬁﷺ\u00ad\u200b\u0301\u3164\U0001d41a\U000e0041\udc80\udcff"
TEXT = st.text(LETTERS, max_size=40) | st.text(max_size=20)
BYTES = TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=40)
BASE64 = st.text("ABCabcxyz019+/-_", min_size=4, max_size=90).map(str.encode)
HIDDEN = st.builds(
    lambda text, first, second: first(second(text)),
    st.sampled_from([secret for _, secret in SECRETS] + [around for _, around, _ in IN_CONTEXT] + NEGATIVES[:40]),
    st.sampled_from([str, *HIDING]),
    st.sampled_from([str, *HIDING]),
)
MIXED = st.lists(HIDDEN | TEXT | BASE64.map(bytes.decode), max_size=6)
PIECES = MIXED.map(lambda texts: " ".join(texts).encode("utf-8", "surrogatepass"))


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def simply_folded(data: bytes) -> bytes:
    return bytes_of("".join(plain().get(ord(letter), letter) for letter in text_of(data)))


def simply_peeled(run: bytes) -> list[bytes]:
    """As it is written down: four beginnings, each decoded, its stretches read one by one."""
    text, found = run.translate(bytes.maketrans(b"-_", b"+/"), b"\r\n="), []
    foldable = "".join(map(chr, plain()))
    readable = re.compile(f"[\0-\x7f{re.escape(foldable)}]{{11,}}")
    for shift in range(4):
        part = text[shift:]
        part = part[:-1] if len(part) % 4 == 1 else part
        for stretch in readable.findall(text_of(binascii.a2b_base64(part + b"=" * (-len(part) % 4)))):
            bare = simply_folded(bytes_of(stretch))
            found += [bytes_of(stretch)] + [bare] * (bare != bytes_of(stretch))
            found += [unquote_to_bytes(bare)] * (b"%" in bare)
    return found


def simply_read(data: bytes) -> list[bytes]:
    """Every reading but the decoded one, in order, each whole; an empty one is none."""
    read = [data]
    for step in (simply_folded, unquote_to_bytes, simply_folded, unquote_to_bytes):
        further = step(read[-1])
        if further and further != read[-1]:
            read.append(further)
    return read


class TestFolded:
    @given(TEXT)
    def test_is_each_letter_folded(self, text):
        assert bytes_of(folded(text_of(as_bytes(text)))) == simply_folded(as_bytes(text))

    @pytest.mark.parametrize("first", range(0, 0x20000, 0x1000))
    def test_is_so_for_every_letter_there_is(self, first):
        text = "".join(map(chr, range(first, first + 0x1000)))
        assert bytes_of(folded(text_of(as_bytes(text)))) == simply_folded(as_bytes(text))

    @given(BYTES)
    @example(bytes(range(256)))
    def test_is_not_tried_only_where_nothing_would_change(self, data):
        assert is_plain(data) == (simply_folded(data) == data)

    def test_every_letter_that_folds_is_noticed_alone(self):
        assert [code for code in plain() if is_plain(chr(code).encode())] == []
        assert [code for code in plain() if is_plain(f"中{chr(code)}".encode())] == []

    def test_no_letter_becomes_a_phrase(self):
        """A megabyte of them would become eleven, and each reading of it would cost as much."""
        assert max(len(became.encode()) / len(chr(code).encode()) for code, became in plain().items()) < 3


class TestUnescaped:
    @given(BYTES | st.text("%%%%4aA1=25gh0\r\n-", max_size=60).map(str.encode))
    @example(b"%%41%%%4%41%\n%=%3D=%3d%")
    def test_is_what_the_standard_library_says(self, data):
        assert unescaped(data) == unquote_to_bytes(data)


class TestRuns:
    @given(st.lists(st.sampled_from(["a" * 60, "Z-_9" * 19, "+/", "=", "==", "\n", "\r\n", " ", "\r"]), max_size=9))
    def test_end_where_the_standard_library_ends_them(self, pieces):
        data = "".join(pieces).encode()
        ours, theirs = base64_runs._RUN.match(data), re.match(base64_runs._RUN.pattern, data)
        assert (ours and ours.span()) == (theirs and theirs.span())


class TestPeeled:
    @given(BASE64 | HIDDEN.map(lambda text: text.encode()))
    def test_is_each_beginning_decoded_alone(self, data):
        run = re.sub(rb"[^A-Za-z0-9+/_-]", b"", data)
        assert list(base64_runs.peeled(run, Effort())) == simply_peeled(run)


class TestReadings:
    @settings(max_examples=200, deadline=None)
    @given(PIECES)
    def test_are_what_the_whole_text_becomes_step_by_step(self, data):
        read = [reading.data for reading in readings.readings(data)]
        expected = simply_read(data)
        assert read[: len(expected)] == expected
        places = [expected[-1][start:end] for start, end in base64_runs.runs(expected[-1])]
        decoded = b"".join(line + b"\n" for run in places for line in simply_peeled(run))
        assert read[len(expected) :] == ([decoded] if decoded else [])

    @pytest.mark.parametrize("before", [500, 511, 512, 513, 1030])
    @given(TEXT)
    def test_are_so_on_the_border_of_two_parts(self, before, text):
        data = b"x" * before + as_bytes(text) + b"y" * 30
        assert [reading.data for reading in readings.readings(data)][: len(simply_read(data))] == simply_read(data)


class TestCalled:
    @given(st.integers(0, 300), PIECES)
    def test_is_every_rule_whose_hint_is_there(self, before, pieces):
        known, data = catalogue(), b"-" * before + pieces
        hints = sorted(known.any_keyword.pattern.decode().split("|"))
        called = [needing for hint, needing in zip(hints, known.needing, strict=True) if re2.search(hint, data.lower())]
        assert spotting._called(known, data.lower()) == sorted({n for needing in called for n in needing})
