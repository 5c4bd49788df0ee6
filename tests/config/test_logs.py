"""Log lines are for operators, not for whoever collects them: no link, key or query is in one."""

import json
import logging

import pytest
import structlog

from config.logs import logging_config

FORMATTER = logging_config("INFO")["formatters"]["json"]


def logged(message: str, **extra: object) -> dict:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=FORMATTER["foreign_pre_chain"], processors=FORMATTER["processors"]
    )
    record = logging.LogRecord("django", logging.WARNING, __file__, 1, message, (), None)
    return json.loads(formatter.format(record))


class TestLines:
    @pytest.mark.parametrize(
        "secret",
        ["/sign-in/link/DMQEYadbWJG6stse-c39QQ4D7b0", "csk_pep_abc123_verysecretpart", "/inbox/?next=DMQEYadb"],
    )
    def test_carry_no_token(self, secret):
        said = logged(f"Forbidden (CSRF token missing.): {secret}")["event"]
        assert secret not in said
        assert "…" in said

    def test_are_one_line_each_whatever_they_quote(self):
        """ABUSE 106: a line break in a value is escaped by JSON itself."""
        formatted = logged("first\r\nsecond")
        assert formatted["event"] == "first\r\nsecond"

    def test_keep_what_an_operator_needs(self):
        assert logged("Not Found: /requests/arq_01")["event"] == "Not Found: /requests/arq_01"
