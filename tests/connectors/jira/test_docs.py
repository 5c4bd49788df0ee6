"""docs/jira.md says what this room says."""

import re
from pathlib import Path

import pytest

from connectors.jira import card, failures

PAGE = (Path(__file__).parents[3] / "docs" / "jira.md").read_text()
SOURCES = "".join(path.read_text() for path in Path(failures.__file__).parent.glob("*.py"))


class TestDocs:
    @pytest.mark.parametrize("words", failures._WORDS.values())
    def test_name_every_failure_with_what_to_do(self, words: str):
        start = words.split(".", maxsplit=1)[0].split(", or hides", maxsplit=1)[0]
        assert f"*{start}" in PAGE

    @pytest.mark.parametrize("said", re.findall(r"^\| \*(.+?)\*", PAGE, re.MULTILINE))
    def test_quote_only_what_is_said(self, said: str):
        for one in said.split("*, *"):
            assert one in SOURCES

    def test_name_the_path_and_the_labels(self):
        assert "/jira/webhook" in PAGE
        assert f"labels = {card.LABEL}" in PAGE
