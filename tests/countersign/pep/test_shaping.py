"""What an allow obliges to make of a result: secrets and named parts taken out, no more of it than the cap, or none."""

from typing import Any

import mcp_types as types
import pytest

from countersign.pep import results, shaping
from countersign.pep.shaping import OverCap, Shape, Withheld

KEY = "AKIAIOSFODNN7EXAMPLF"
CUSTOMER = {"name": "Ada", "iban": "x", "cards": [{"pan": "1", "kind": "a"}, {"pan": "2", "kind": "b"}]}


def redact(**properties: Any) -> dict[str, Any]:
    return {"type": "redact", "properties": properties}


def cap(**properties: Any) -> dict[str, Any]:
    return {"type": "cap", "properties": properties}


class TestBounds:
    @pytest.mark.parametrize(
        "arguments", [{"amount": "100.01"}, {"amount": 101}, {"amount": "a lot"}, {"amount": None}, {}]
    )
    def test_of_an_amount_stop_what_is_beyond_and_what_cannot_be_compared(self, arguments):
        with pytest.raises(OverCap):
            shaping.of([cap(argument="amount", most="100.00")], arguments)

    def test_hold_together_and_the_least_cap_counts(self):
        shape = shaping.of(
            [
                cap(bytes=9),
                cap(bytes=5, argument="amount", most="100.00"),
                redact(),
                redact(paths=["/a~1b", "/c~0d/*"]),
            ],
            {"amount": "100.00"},
        )
        assert shape == Shape(True, (("a/b",), ("c~d", "*")), 5)


class TestResult:
    def test_loses_secrets_and_what_is_named_and_nothing_else(self):
        shape = shaping.of([redact(part="result", paths=["/iban", "/cards/*/pan", "/cards/1/kind", "/not/there"])], {})
        said = shape.of({**CUSTOMER, "note": f"the key is {KEY}"})
        assert said == {
            "name": "Ada", "iban": "[redacted]", "note": "the key is [redacted: aws-access-key]",
            "cards": [{"pan": "[redacted]", "kind": "a"}, {"pan": "[redacted]", "kind": "[redacted]"}],
        }  # fmt: skip
        assert CUSTOMER["iban"] == "x", "the program's own value is left alone"

    def test_is_whole_where_nothing_is_obliged(self):
        value = object()
        assert Shape().of(value) is value

    @pytest.mark.parametrize(
        "value", [object(), {1: 2}, 2**60, float("nan"), "\ud800"], ids=["object", "name", "2^60", "nan", "half"]
    )
    def test_is_withheld_if_it_cannot_be_looked_into(self, value):
        for shape in (Shape(redacts=True), Shape(most=1000)):
            with pytest.raises(Withheld, match="has been run") as caught:
                shape.of(value)
            assert (caught.value.__cause__, caught.value.__context__) == (None, None)

    def test_is_looked_into_as_the_json_it_becomes(self):
        shape = Shape(True, (("ibans", "*"),))
        assert shape.of({"ibans": ("DE1", "DE2"), "key": KEY}) == {
            "ibans": ["[redacted]", "[redacted]"], "key": "[redacted: aws-access-key]",
        }  # fmt: skip

    def test_is_looked_into_where_a_text_in_it_is_json(self):
        shape = Shape(True, (("log", "*", "iban"), ("kept", "other")))
        told = {"log": ['{"iban": "DE1", "n": 1}', "DE2"], "kept": '{"as":  "it was"}'}
        assert shape.of(told) == {"log": ['{"iban": "[redacted]", "n": 1}', "DE2"], "kept": '{"as":  "it was"}'}

    def test_is_withheld_beyond_the_cap_as_it_is_after_redacting(self):
        assert Shape(most=6).of("four") == "four"
        with pytest.raises(Withheld):
            Shape(most=5).of("four")
        with pytest.raises(Withheld):
            Shape(most=5).of("für")
        long = {"memo": "x" * 1000}
        assert Shape(True, (("memo",),), 40).of(long) == {"memo": "[redacted]"}


class TestToolResult:
    def result(self, *texts: str, structured: Any = None, **more: Any) -> types.CallToolResult:
        content = [types.TextContent(type="text", text=one) for one in texts]
        return types.CallToolResult(content=content, structured_content=structured, **more)

    def texts(self, result: types.CallToolResult) -> list[str]:
        return [one.text for one in result.content]

    def test_is_redacted_in_text_json_in_text_and_structure_alike(self):
        told = self.result(
            f"key {KEY}", f'{{"iban": "DE1", "key": "{KEY}"}}', structured={"iban": "DE1"}, _meta={"k": KEY}
        )
        said = results.shaped(told, Shape(redacts=True))
        assert self.texts(said) == [
            "key [redacted: aws-access-key]",
            '{"iban": "DE1", "key": "[redacted: aws-access-key]"}',
        ]
        named = results.shaped(told, Shape(True, (("iban",),)))
        assert named.structured_content == {"iban": "[redacted]"}
        assert "DE1" not in named.model_dump_json()
        assert KEY not in named.model_dump_json()

    @pytest.mark.parametrize("text", ["iban DE1", '{"iban": "DE1", "iban": "DE1"}', '{"iban": "DE1"', '"DE1"'])
    def test_loses_a_text_in_which_named_parts_cannot_be_found(self, text):
        said = results.shaped(self.result(text), Shape(True, (("iban",),)))
        assert self.texts(said)[0].startswith("[withheld: text")

    def test_loses_what_is_no_text(self):
        image = types.ImageContent(type="image", data="aGk=", mime_type="image/png")
        link = types.ResourceLink(type="resource_link", uri="file:///key", name=KEY)
        said = results.shaped(types.CallToolResult(content=[image, link], is_error=True), Shape(redacts=True))
        assert self.texts(said) == ["[withheld: image]", "[withheld: resource_link]"]
        assert said.is_error

    def test_is_as_it_is_where_nothing_is_obliged(self):
        told = self.result("x", _meta={"k": 1})
        assert results.shaped(told, Shape()) is told

    def test_is_withheld_beyond_the_cap(self):
        told = self.result("x" * 100, structured={"y": "z" * 100})
        assert results.shaped(told, Shape(most=400)) is told
        with pytest.raises(Withheld):
            results.shaped(told, Shape(most=200))
