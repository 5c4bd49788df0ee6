"""Log lines are for operators, not for whoever collects them: no link, key or query is in one."""

import json
import logging
import time

import pytest
import structlog

from config import logs
from config.logs import logging_config
from tests.countersign.inspection.corpus import HIDING, SECRETS

FORMATTER = logging_config("INFO")["formatters"]["json"]
AWS = SECRETS[0][1]
FOREIGN = [(name, secret) for name, secret in SECRETS if name != "countersign-key"]  # of ours, the id stays


def written(message: str, *args: object, error: BaseException | None = None, **extra: object) -> str:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=FORMATTER["foreign_pre_chain"], processors=FORMATTER["processors"]
    )
    exc_info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("django", logging.WARNING, __file__, 1, message, args, exc_info)
    record.__dict__.update(extra)
    return formatter.format(record)


def logged(message: str, **extra: object) -> dict:
    return json.loads(written(message, **extra))


def raised(error: BaseException) -> BaseException:
    """With a traceback and a cause, as errors come."""
    try:
        {}[str(error)]
    except KeyError as cause:
        error.__cause__ = cause
    return error


class TestLines:
    @pytest.mark.parametrize(
        "secret",
        ["/sign-in/link/DMQEYadbWJG6stse-c39QQ4D7b0", "csk_pep_abc123_verysecretpart", "/inbox/?next=DMQEYadb"],
    )
    def test_carry_no_token(self, secret):
        said = logged(f"Forbidden (CSRF token missing.): {secret}")["event"]
        assert secret not in said
        assert "…" in said

    @pytest.mark.parametrize("ending", ["\r\n", "\n", "\r", "\u2028", "\x85", "\x1b[2K"])
    def test_abuse_106_are_one_line_each_whatever_they_quote(self, ending):
        """A line break in a value is escaped by JSON itself, and so is what a terminal would obey."""
        line = written(f"first{ending}second", error=raised(ValueError(f"third{ending}fourth")))
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line
        assert json.loads(line)["event"] == f"first{ending}second"

    def test_keep_what_an_operator_needs(self):
        assert logged("Not Found: /requests/arq_01")["event"] == "Not Found: /requests/arq_01"


class TestSecrets:
    @pytest.mark.parametrize(("name", "secret"), FOREIGN)
    def test_abuse_103_are_in_no_line(self, name, secret):
        assert logged(f"refused: {secret}")["event"] == f"refused: [redacted: {name}]"

    @pytest.mark.parametrize("hiding", HIDING, ids=lambda hiding: hiding.__name__)
    def test_abuse_104_are_in_no_line_in_any_disguise(self, hiding):
        assert logged(f"refused: {hiding(AWS)} !")["event"] == "refused: [redacted: aws-access-key] !"

    @pytest.mark.parametrize(("name", "secret"), FOREIGN)
    def test_abuse_108_are_in_no_text_of_an_exception_nor_of_its_cause(self, name, secret):
        line = written("job failed", error=raised(ValueError(f"cannot log in with {secret}")))
        assert secret not in line
        assert secret.splitlines()[-1] not in line
        assert f"ValueError: cannot log in with [redacted: {name}]" in json.loads(line)["exception"]

    def test_abuse_108_are_in_no_argument_or_object_a_line_is_filled_with(self):
        class Account:
            def __repr__(self) -> str:
                return f"Account(bot_token={AWS!r})"

        line = written("no answer for %s", Account(), account=Account(), password="hunter2 and more")
        assert AWS not in line
        assert "hunter2" not in line

    def test_a_line_that_cannot_be_looked_through_is_withheld(self, monkeypatch):
        def failing(value: object) -> object:
            raise RuntimeError(AWS)

        monkeypatch.setattr(logs, "redact_value", failing)
        line = written(f"refused: {AWS}")
        assert AWS not in line
        assert json.loads(line) == {
            "event": "a log line was withheld: RuntimeError while looking for secrets",
            "level": "warning",
        }

    def test_a_line_costs_little(self):
        """Far below what writing it costs elsewhere; the hot path writes none."""
        written("warm")
        began = time.thread_time()
        for _ in range(200):
            written("no answer from Slack, trying again in 30 seconds")
        assert (time.thread_time() - began) / 200 < 0.001
