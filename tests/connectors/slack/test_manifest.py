"""The manifest asks for what the app uses and nothing else, and Slack can be pointed at us by it."""

import json
from pathlib import Path

import pytest
import yaml
from django.core.management import call_command

from connectors.slack import app, transport
from connectors.slack.failures import PERMANENT
from connectors.slack.manifest import COMMAND, HISTORY, SCOPES, manifest

HTTPS = "https://countersign.example"


@pytest.fixture
def public(settings):
    settings.COUNTERSIGN = settings.COUNTERSIGN.model_copy(update={"base_url": HTTPS})


def printed(capsys, *options: str) -> tuple[str, str]:
    call_command("slack_manifest", *options)
    told = capsys.readouterr()
    return told.out, told.err


class TestManifest:
    def test_asks_for_these_scopes_and_no_more(self):
        asked = set(manifest(HTTPS)["oauth_config"]["scopes"]["bot"])
        assert {"chat:write", "commands", "im:write", "users:read", "users:read.email"} == SCOPES
        assert asked == SCOPES | HISTORY

    def test_reading_channels_can_be_left_out(self):
        assert set(manifest(HTTPS, history=False)["oauth_config"]["scopes"]["bot"]) == SCOPES

    def test_sends_everything_to_our_one_address(self):
        told = manifest(HTTPS)
        address = f"{HTTPS}/slack/events"
        assert told["settings"]["interactivity"] == {"is_enabled": True, "request_url": address}
        assert told["settings"]["event_subscriptions"]["request_url"] == address
        assert [one["url"] for one in told["features"]["slash_commands"]] == [address]

    def test_hears_of_an_opened_home_and_of_no_message(self):
        assert manifest(HTTPS)["settings"]["event_subscriptions"]["bot_events"] == ["app_home_opened"]

    def test_has_the_command_and_the_home_that_we_answer(self):
        features = manifest(HTTPS)["features"]
        assert [one["command"] for one in features["slash_commands"]] == [COMMAND] == ["/approvals"]
        assert features["app_home"]["home_tab_enabled"]

    def test_through_a_socket_no_address_of_ours_is_named(self):
        told = manifest(HTTPS, socket_mode=True)
        assert told["settings"]["socket_mode_enabled"]
        assert HTTPS not in json.dumps(told)

    def test_keeps_within_slacks_lengths(self):
        told = manifest(HTTPS)
        assert len(told["display_information"]["name"]) <= 35
        assert len(told["display_information"]["description"]) <= 140


class TestCommand:
    def test_prints_yaml_and_json_of_the_same(self, public, capsys):
        assert yaml.safe_load(printed(capsys)[0]) == manifest(HTTPS)
        assert json.loads(printed(capsys, "--format", "json")[0]) == manifest(HTTPS)

    def test_takes_its_options(self, public, capsys):
        told, said = printed(capsys, "--socket-mode", "--no-history")
        assert yaml.safe_load(told) == manifest(HTTPS, socket_mode=True, history=False)
        assert said == ""

    def test_says_beside_the_manifest_that_slack_needs_https(self, capsys):
        told, said = printed(capsys)
        assert yaml.safe_load(told)
        assert "--socket-mode" in said


def test_bolt_and_the_web_api_listen_to_the_names_in_the_manifest():
    assert app.COMMAND == COMMAND
    assert transport.SCOPES is SCOPES


class TestPage:
    """docs/slack.md says what the code does."""

    PAGE = (Path(__file__).parents[3] / "docs" / "slack.md").read_text()

    @pytest.mark.parametrize("scope", sorted(SCOPES | HISTORY))
    def test_tells_what_each_scope_is_for(self, scope):
        assert f"`{scope}`" in self.PAGE

    @pytest.mark.parametrize(("code", "words"), PERMANENT.items())
    def test_tells_what_to_do_about_each_error(self, code, words):
        rows = [row for row in self.PAGE.splitlines() if f"`{code}`" in row]
        assert any(words in row for row in rows)
