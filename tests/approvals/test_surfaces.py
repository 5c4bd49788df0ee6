"""Names of surfaces as people read them."""

import pytest

from approvals import surfaces


class TestWords:
    @pytest.mark.parametrize(
        ("surface", "said"),
        [
            ("web", "on the web"), ("api", "through the API"), ("servicenow", "in ServiceNow"),
            ("slack+web", "in Slack, confirmed on the web"), ("chat", "in chat"), ("", ""),
        ],
    )  # fmt: skip
    def test_say_where_a_vote_was_cast_and_where_it_was_confirmed(self, surface: str, said: str) -> None:
        assert surfaces.words(surface) == said
