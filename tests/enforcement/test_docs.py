"""The page of the decision API names every error with its status, as the one table has it."""

from pathlib import Path

import pytest

from enforcement.problems import TABLE, Kind

PAGE = (Path(__file__).parent.parent.parent / "docs" / "decision-api.md").read_text()


class TestPage:
    @pytest.mark.parametrize("kind", Kind)
    def test_names_the_error_with_its_status(self, kind):
        assert f"| {TABLE[kind].status.value} | `{kind}` |" in PAGE

    @pytest.mark.parametrize("kind", Kind)
    def test_has_a_row_for_it_in_the_table(self, kind):
        assert kind in TABLE
