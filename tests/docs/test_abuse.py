"""Each abuse case of docs/abuse.md has a test that carries its number, and each test it names is there."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
PAGE = (TESTS.parent / "docs" / "abuse.md").read_text()
_NAME = re.compile(r"def (test_abuse_(\d{3}(?:_(?:to_|and_)?\d{3})*)_\w+)")
_ROW = re.compile(r"^\| (\d+) \| .+ \| .+ \| `(.+?)` `(test_\w+)` \|$", re.MULTILINE)
CASES = [int(number) for number in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)]

# The cases that this much of the house must answer; a later part adds its own.
EXPECTED = {
    *range(1, 47), *range(48, 69), 72, 74,
    *range(76, 109), 119, 121, 122, 128, *range(129, 136), 137, 140, 142, 144, 145, *range(146, 151),
}  # fmt: skip


def numbers(named: str) -> set[int]:
    """`013_to_017` and `003_and_008` as numbers."""
    spans = re.findall(r"(\d{3})(?:_to_(\d{3}))?", named)
    return {number for first, last in spans for number in range(int(first), int(last or first) + 1)}


def named_tests() -> dict[str, set[int]]:
    """Every test named after abuse cases, as `path::name`, with its numbers."""
    return {
        f"{path.relative_to(TESTS)}::{name}": numbers(named)
        for path in TESTS.rglob("test_*.py")
        for name, named in _NAME.findall(path.read_text())
    }


TESTED = named_tests()


class TestAbuse:
    def test_the_page_lists_every_case_once(self):
        assert sorted(CASES) == sorted(EXPECTED)

    @pytest.mark.parametrize("number", CASES)
    def test_each_case_has_a_test_that_carries_its_number(self, number):
        assert any(number in named for named in TESTED.values())

    @pytest.mark.parametrize(("number", "path", "name"), _ROW.findall(PAGE))
    def test_the_page_names_a_test_that_is_there_and_carries_the_number(self, number, path, name):
        assert int(number) in TESTED.get(f"{path}::{name}", set())

    def test_every_row_names_a_test(self):
        assert [int(number) for number, _, _ in _ROW.findall(PAGE)] == CASES

    def test_no_name_looks_like_a_case_but_is_not_read(self):
        odd = re.compile(r"def (test_(?:\w*_)?(?:abuse|ABUSE|[A-K])_?\d\w*)")
        for path in TESTS.rglob("test_*.py"):
            text = path.read_text()
            assert set(odd.findall(text)) <= {name for name, _ in _NAME.findall(text)}, path
