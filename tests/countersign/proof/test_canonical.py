"""What enters as JSON, what is refused, and that the quick ways equal the slow ones."""

import json
import unicodedata
from enum import Enum, StrEnum

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.proof import canonical, digests
from countersign.proof.canonical import Malformed, Unrepresentable

INTEGERS = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not 2**53 <= abs(x) < 1e21)


def documents(*leaves):
    leaf = st.one_of(st.none(), st.booleans(), INTEGERS, TEXTS, *leaves)
    return st.recursive(
        leaf,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=5)),
        max_leaves=25,
    )


ANY = documents(FLOATS)


def outcome(read, data):
    try:
        return repr(read(data))
    except canonical.NotCanonical as error:
        return type(error)


@st.composite
def mutated(draw):
    """A document spelt in some way, and then perhaps damaged."""
    spelling = draw(
        st.sampled_from(
            [{}, {"indent": 1}, {"ensure_ascii": False}, {"separators": (" , ", " : ")}, {"sort_keys": True}]
        )
    )
    data = bytearray(json.dumps(draw(ANY), **spelling).encode())
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(
            st.sampled_from(
                [b"", b'"', b"\\", b",", b":", b"{", b"}", b"[", b"]", b"0", b"1e9", b".5", b"e", b"-", b"\x00", b"\xff", b"\xed\xa0\x80",
                 b'"a":1,', b"9007199254740993", b"1e400", b"NaN", b"\\u0061", b"\\ud800", b"\\u0000", b"\xef\xbb\xbf", b" ", b"\t", b"\x0b", b"true"]
            )
        )  # fmt: skip
    return bytes(data)


class TestLoads:
    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b'{"a":1,"a":1}', id="plain"),
            pytest.param(b'{"a":1, "b":{"c":[{"d":1,"d":2}]}}', id="deep inside"),
            pytest.param(b'{"a" :1,"a": 2}', id="white space before the colon"),
            pytest.param(b'{":":1,":":2}', id="named like punctuation"),
            pytest.param('{"é":1,"é":2}'.encode(), id="beyond ASCII"),
            pytest.param(b'{"":1,"":2}', id="without a name"),
        ],
    )
    def test_abuse_001_a_duplicate_key_is_malformed(self, data):
        with pytest.raises(Malformed, match="twice"):
            canonical.loads(data)

    def test_abuse_002_a_duplicate_key_after_unescaping_is_malformed(self):
        with pytest.raises(Malformed, match="twice"):
            canonical.loads(b'{"amount":1,"\\u0061mount":2}')

    @pytest.mark.parametrize("sign", ["", "-"])
    @pytest.mark.parametrize("number", [str(2**53 + 1), str(2**53), str(10**17), "1" + "0" * 5_000], ids=len)
    def test_abuse_003_an_integer_of_2_to_the_53_is_unrepresentable(self, sign, number):
        with pytest.raises(Unrepresentable):
            canonical.loads(f'{{"n":{sign}{number}}}'.encode())

    @pytest.mark.parametrize("number", [2**63, 2**64, 2**63 - 1, -(2**63)])
    def test_abuse_004_an_integer_of_2_to_the_63_is_unrepresentable(self, number):
        with pytest.raises(Unrepresentable):
            canonical.loads(f"[{number}]".encode())

    @pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"1" + b"0" * 400 + b".0"])
    def test_abuse_005_a_number_too_large_for_a_double_is_unrepresentable(self, number):
        with pytest.raises(Unrepresentable):
            canonical.loads(b'{"n":' + number + b"}")

    @pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity", b"nan"])
    def test_abuse_006_nan_and_infinity_are_malformed(self, word):
        with pytest.raises(Malformed):
            canonical.loads(b'{"n":' + word + b"}")

    @pytest.mark.parametrize("text", [b'"\\ud800"', b'"\\udc00\\ud800"', b'{"\\ud83d":1}', b'["a\\ud83dz"]'])
    def test_abuse_007_half_a_surrogate_pair_is_unrepresentable(self, text):
        with pytest.raises(Unrepresentable, match="surrogate"):
            canonical.loads(text)

    @pytest.mark.parametrize("text", [b'"\\u0000"', b'{"a\\u0000":1}', b'{"a":["x\\u0000y"]}'])
    def test_abuse_008_nul_is_unrepresentable(self, text):
        with pytest.raises(Unrepresentable, match="NUL"):
            canonical.loads(text)

    def test_a_raw_nul_is_malformed_like_any_control_byte(self):
        with pytest.raises(Malformed):
            canonical.loads(b'"\x00"')

    @pytest.mark.parametrize("depth", [65, 5_000, 200_000])
    @pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"\\"":', b"}]")])
    def test_abuse_009_deep_nesting_is_malformed_and_crashes_nothing(self, depth, opening, closing):
        for data in (opening * depth + b"1" + closing * depth, opening * depth):
            with pytest.raises(Malformed):
                canonical.loads(data)

    def test_depth_64_is_taken(self):
        assert canonical.loads(b"[" * 64 + b"]" * 64)

    def test_brackets_inside_of_strings_are_no_depth(self):
        assert canonical.loads(b'{"a":"' + b"[{" * 5_000 + b'"}') == {"a": "[{" * 5_000}
        assert canonical.loads(b'{"a":"\\"' + b"[{" * 5_000 + b'"}') == {"a": '"' + "[{" * 5_000}

    def test_many_shallow_brackets_are_no_depth(self):
        assert len(canonical.loads(b"[" + b",".join([b'{"a":[]}'] * 1_000) + b"]")) == 1_000

    @pytest.mark.parametrize(
        "data", [b'\xef\xbb\xbf{"a":1}', '{"a":1}'.encode("utf-16"), '{"a":1}'.encode("utf-32-le")]
    )
    def test_abuse_010_a_byte_order_mark_or_another_encoding_is_malformed(self, data):
        with pytest.raises(Malformed):
            canonical.loads(data)

    @pytest.mark.parametrize("data", [b'{"a":1}{"a":2}', b'{"a":1} 2', b'{"a":1}]', b'{"a":1}\x00'])
    def test_abuse_011_a_second_document_is_malformed(self, data):
        with pytest.raises(Malformed):
            canonical.loads(data)

    @pytest.mark.parametrize("data", [b"1", b'"a"', b"null", b"true", b"[]", b"1.5"])
    def test_abuse_012_a_top_level_scalar_or_array_is_unrepresentable(self, data):
        canonical.loads(data)
        with pytest.raises(Unrepresentable, match="object"):
            canonical.loads_object(data)

    def test_abuse_013_nfc_and_nfd_have_different_digests(self):
        composed, decomposed = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
        assert digests.arguments_digest({"to": composed}) != digests.arguments_digest({"to": decomposed})

    @pytest.mark.parametrize(
        "data", [b"", b" ", b"{", b'{"a":}', b"[1,]", b"{'a':1}", b"01", b"1.", b".5", b"+1", b"tru", b'"\xff"', b'{"\xc3":1}', b'"\t"', b"\x0b1", b"0x10"]
    )  # fmt: skip
    def test_what_is_not_json_is_malformed(self, data):
        with pytest.raises(Malformed):
            canonical.loads(data)

    def test_takes_what_is_json(self):
        assert canonical.loads_object(b' {"a" : [1, -0, 1.5, "x\\n", null, true, {}] }\n') == {
            "a": [1, 0, 1.5, "x\n", None, True, {}]
        }

    def test_takes_the_largest_exact_integer(self):
        assert canonical.loads(b"[9007199254740991,-9007199254740991]") == [2**53 - 1, -(2**53) + 1]

    @given(mutated())
    @settings(max_examples=600, deadline=None)
    def test_the_quick_way_equals_the_slow_way(self, data):
        assert outcome(canonical.loads, data) == outcome(canonical.loads_slowly, data)

    @given(
        st.lists(st.tuples(st.sampled_from(["a", "b", ":", ",", "{}", "é", "a b"]), ANY), max_size=5),
        st.sampled_from(["", " ", "\n"]),
    )
    @settings(max_examples=300, deadline=None)
    def test_no_duplicate_slips_through_the_quick_way(self, pairs, space):
        members = (
            f"{json.dumps(name, ensure_ascii=False)}{space}:{space}{json.dumps(value, ensure_ascii=False)}"
            for name, value in pairs
        )
        data = ("{" + ",".join(members) + "}").encode()
        doubled = len({name for name, _ in pairs}) != len(pairs)
        assert (outcome(canonical.loads, data) is Malformed) == doubled

    @given(st.text(alphabet='[]{}",:\\ a1', max_size=60))
    @settings(max_examples=500, deadline=None)
    def test_the_depth_is_never_underrated(self, text):
        """Up to the place where a parser gives up, the count is that of a walk over the value."""
        try:
            value = json.loads(text)
        except ValueError:
            return
        assert canonical._depth(text.encode()) == deep(value)


def deep(value):
    if isinstance(value, dict):
        return 1 + max(map(deep, value.values()), default=0)
    return 1 + max(map(deep, value), default=0) if isinstance(value, list) else 0


class Colour(StrEnum):
    RED = "red"


class Number(Enum):
    ONE = 1


class TestDumps:
    @pytest.mark.parametrize(
        "value",
        [float("nan"), float("inf"), [1, {"a": float("-inf")}], 2**53, {"a": -(2**53)}, "\ud800", {"\udc00": 1}, "\0", {"a\0": 1}, {1: 2}, {None: 1},
         {"a": {1: 2}}, b"x", {"a": b"x"}, {1, 2}, object(), Number.ONE, 1j, 1e16, 2.0**53, -1e20],
    )  # fmt: skip
    def test_refuses_what_has_no_exact_form(self, value):
        with pytest.raises(Unrepresentable):
            canonical.dumps(value)
        with pytest.raises(Unrepresentable):
            canonical.dumps_slowly(value)

    def test_refuses_what_is_nested_too_deep_or_into_itself(self):
        deep_value: list = []
        for _ in range(64):
            deep_value = [deep_value]
        itself: list = []
        itself.append(itself)
        for value in (deep_value, itself, {"a": deep_value}):
            with pytest.raises(Unrepresentable, match="nested"):
                canonical.dumps(value)

    def test_takes_depth_64_and_many_shallow_brackets(self):
        value: list = []
        for _ in range(63):
            value = [value]
        assert canonical.dumps(value) == b"[" * 64 + b"]" * 64
        assert canonical.dumps([[]] * 1_000) == b"[" + b",".join([b"[]"] * 1_000) + b"]"

    def test_is_the_example_of_rfc_8785(self):
        value = {
            "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": '€$\u000f\nA\'B"\\\\"/',
            "literals": [None, True, False],
        }
        assert (
            canonical.dumps(value)
            == (
                '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
                '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
            ).encode()
        )

    def test_sorts_by_utf_16_units_as_rfc_8785_says(self):
        value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
        names = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
        assert list(json.loads(canonical.dumps(value))) == names

    def test_writes_an_enum_as_its_text_and_a_tuple_as_a_list(self):
        assert canonical.dumps({"c": Colour.RED, "t": (1, 2)}) == b'{"c":"red","t":[1,2]}'

    @given(ANY)
    @settings(max_examples=600, deadline=None)
    def test_equals_the_reference_library(self, value):
        assert canonical.dumps(value) == rfc8785.dumps(value)

    @given(documents())
    @settings(max_examples=200, deadline=None)
    def test_without_floats_too(self, value):
        assert canonical.dumps(value) == canonical.dumps_slowly(value)

    @given(
        st.dictionaries(st.text(alphabet="a\u00e9\ue000\uffff\U00010000\U0010ffff", max_size=3), st.none(), max_size=8)
    )
    def test_sorts_names_beyond_the_bmp_like_the_reference_library(self, value):
        assert canonical.dumps(value) == rfc8785.dumps(value)

    @given(ANY)
    @settings(max_examples=300, deadline=None)
    def test_what_is_written_can_be_read_and_is_its_own_canonical_form(self, value):
        data = canonical.dumps(value)
        assert canonical.dumps(canonical.loads(data)) == data


class TestPlain:
    @pytest.mark.parametrize(
        "data",
        [b'{"a":1.5}', b'{"a":1e5}', '{"ä":1}'.encode(), b'{"a":"\\n"}', b'{"a":1,"a":1}', b"[]", b'"a"', b"", b"{",
         b'{"a":1234567890123456}', b'{"a":' * 65 + b"1" + b"}" * 65],
        ids=repr,
    )  # fmt: skip
    def test_leaves_what_it_cannot_vouch_for_to_the_others(self, data):
        assert canonical.loads_plain(data) is None

    @given(st.dictionaries(st.text('ab~ \x7f."', max_size=4), st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=8,
    )))  # fmt: skip
    def test_writes_every_part_as_the_reference_does(self, value):
        value_read = canonical.loads_plain(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        if value_read is not None:
            assert value_read == value
            for part in (value_read, *value_read.values()):
                assert canonical.write_plain(part) == canonical.dumps_slowly(part)
