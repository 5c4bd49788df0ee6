"""A system that is configured without what it needs does not start, and each missing variable is named."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.environment import environment


@pytest.fixture(autouse=True)
def _read_anew():
    environment.cache_clear()
    yield
    environment.cache_clear()


@pytest.fixture
def given(monkeypatch):
    def give(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"COUNTERSIGN_{name}", value)

    return give


JIRA = {"JIRA_URL": "https://a.atlassian.net", "JIRA_EMAIL": "a@b.test", "JIRA_TOKEN": "t", "JIRA_WEBHOOK_SECRET": "w"}
SLACK = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "s"}
MAIL = {"EMAIL_URL": "smtps://u:p@mail.test:465?from=bot@acme.test"}


class TestIntegrations:
    def test_names_everything_that_lacks_at_once(self, given):
        given(JIRA_URL="https://a.atlassian.net", SERVICENOW_USER="u", SLACK_BOT_TOKEN="xoxb-1", EMAIL_URL="smtp://x")
        with pytest.raises(ImproperlyConfigured) as raised:
            environment()
        for name in (
            "JIRA_EMAIL",
            "JIRA_TOKEN",
            "JIRA_WEBHOOK_SECRET",
            "SERVICENOW_USER",
            "SLACK_APP_TOKEN",
            "EMAIL_URL",
        ):
            assert f"COUNTERSIGN_{name}:" in str(raised.value)

    @pytest.mark.parametrize("lacks", [*JIRA, *SLACK])
    def test_abuse_092_refuses_an_empty_secret(self, given, lacks):
        given(**{**JIRA, **SLACK, lacks: " "})
        if lacks == "JIRA_URL":
            given(JIRA_URL="")
        with pytest.raises(ImproperlyConfigured, match="COUNTERSIGN_"):
            environment()

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("JIRA_URL", "http://jira.test"),
            ("JIRA_URL", "jira.test"),
            ("JIRA_URL", "https://user:password@jira.test"),
            ("SLACK_API_URL", "http://slack.test/api/"),
            ("SLACK_BOT_TOKEN", "xoxp-1"),
            ("EMAIL_URL", "smtp://user:password@mail.test?from=a@b.test"),
            ("EMAIL_URL", "smtps://user@mail.test?from=a@b.test"),
            ("EMAIL_URL", "smtps://mail.test"),
            ("EMAIL_URL", "imap://mail.test?from=a@b.test"),
        ],
    )
    def test_refuses_what_would_not_work_or_travel_in_clear(self, given, name, value):
        given(**{**JIRA, **SLACK, **MAIL, name: value})
        with pytest.raises(ImproperlyConfigured, match=f"COUNTERSIGN_{name}"):
            environment()

    def test_takes_whole_systems(self, given):
        given(**JIRA, **SLACK, **MAIL, SLACK_API_URL="http://127.0.0.1:9000/api/")
        assert environment().slack_api_url == "http://127.0.0.1:9000/api/"

    def test_takes_a_socket_instead_of_a_signature(self, given):
        given(SLACK_BOT_TOKEN="xoxb-1", SLACK_APP_TOKEN="xapp-1")
        assert environment().slack_app_token == "xapp-1"
