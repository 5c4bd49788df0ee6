"""What other people's systems need of the environment: all of a system's variables, or none of them.

Each variable is checked where it stands, with those above it known, so that every missing one is reported by its own
name and all of them at once.
"""

from collections.abc import Mapping

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from connectors import closed
from connectors.email import relay

PREFIX = "COUNTERSIGN_"

# What makes a system configured, and what it then cannot do without.
_ANCHORS: Mapping[str, str] = {
    "jira_email": "jira_url",
    "jira_token": "jira_url",
    "jira_webhook_secret": "jira_url",
    "servicenow_user": "servicenow_url",
    "servicenow_password": "servicenow_url",
    "servicenow_webhook_secret": "servicenow_url",
}


class Integrations(BaseSettings):
    """The connectors' variables. Where they belong to one tenant of several, `connector_tenant` names it."""

    connector_tenant: str = ""
    slack_bot_token: str = ""
    slack_signing_secret: str = Field(default="", validate_default=True)
    slack_app_token: str = Field(default="", validate_default=True)
    slack_api_url: str = "https://slack.com/api/"
    jira_url: str = ""
    jira_email: str = Field(default="", validate_default=True)
    jira_token: str = Field(default="", validate_default=True)
    jira_webhook_secret: str = Field(default="", validate_default=True)
    servicenow_url: str = ""
    servicenow_user: str = Field(default="", validate_default=True)
    servicenow_password: str = Field(default="", validate_default=True)
    servicenow_webhook_secret: str = Field(default="", validate_default=True)
    email_url: str = ""

    @field_validator(*_ANCHORS, "slack_bot_token", "slack_signing_secret", "slack_app_token")
    @classmethod
    def _secret_is_no_blank(cls, value: str) -> str:
        """A blank secret is none: it would be guessed at the first try."""
        return value.strip()

    @field_validator(*_ANCHORS)
    @classmethod
    def _comes_with_its_system(cls, value: str, info: ValidationInfo) -> str:
        anchor = _ANCHORS[str(info.field_name)]
        if anchor not in info.data:
            return value  # wrong itself, and reported
        if info.data[anchor] and not value:
            raise ValueError(f"needed, because {PREFIX}{anchor.upper()} is set")
        if value and not info.data[anchor]:
            raise ValueError(f"of no use without {PREFIX}{anchor.upper()}")
        return value

    @field_validator("slack_bot_token")
    @classmethod
    def _is_a_bot_token(cls, value: str) -> str:
        if value and not value.startswith("xoxb-"):
            raise ValueError("a bot token, which begins with xoxb-, is needed")
        return value

    @field_validator("slack_signing_secret")
    @classmethod
    def _comes_with_a_bot(cls, value: str, info: ValidationInfo) -> str:
        if value and not info.data.get("slack_bot_token", "wrong itself"):
            raise ValueError(f"of no use without {PREFIX}SLACK_BOT_TOKEN")
        return value

    @field_validator("slack_app_token")
    @classmethod
    def _slack_can_reach_us(cls, value: str, info: ValidationInfo) -> str:
        """Slack comes in signed over HTTP, or through a socket that the app token opens."""
        bot, signed = info.data.get("slack_bot_token"), info.data.get("slack_signing_secret")
        if value and bot == "":
            raise ValueError(f"of no use without {PREFIX}SLACK_BOT_TOKEN")
        if value and not value.startswith("xapp-"):
            raise ValueError("an app-level token, which begins with xapp-, is needed")
        if bot and signed == "" and not value:
            raise ValueError(
                f"{PREFIX}SLACK_BOT_TOKEN is set, so either {PREFIX}SLACK_SIGNING_SECRET (Slack calls us) or "
                f"{PREFIX}SLACK_APP_TOKEN (we open a socket) is needed"
            )
        return value

    @field_validator("slack_api_url", "jira_url", "servicenow_url")
    @classmethod
    def _secrets_travel_closed(cls, value: str) -> str:
        if value:
            closed.check(value)  # NotClosed is a ValueError, and says what is needed
        return value

    @field_validator("email_url")
    @classmethod
    def _mail_can_leave(cls, value: str) -> str:
        if value:
            relay.parse(value)  # BadUrl is a ValueError, and says what is needed
        return value
