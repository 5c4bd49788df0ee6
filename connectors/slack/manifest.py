"""Our address in, the manifest a Slack app is made from out. Pure.

https://docs.slack.dev/reference/app-manifest
"""

from typing import Any

NAME = "Countersign"
COMMAND = "/approvals"
SCOPES = frozenset({"chat:write", "commands", "im:write", "users:read", "users:read.email"})
# Only to find a card again whose post was answered into the void; the app reads where it was invited, nowhere else.
HISTORY = frozenset({"channels:history", "groups:history"})
EVENTS = ("app_home_opened",)
_PATH = "/slack/events"


def manifest(base_url: str, *, socket_mode: bool = False, history: bool = True) -> dict[str, Any]:
    """With `socket_mode` the app calls Slack and no address of ours is named: none needs to be public."""
    called = {} if socket_mode else {"request_url": f"{base_url}{_PATH}"}
    return {
        "_metadata": {"major_version": 1, "minor_version": 1},
        "display_information": {
            "name": NAME,
            "description": "Asks people before an AI agent does something risky.",
            "background_color": "#1f2a44",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": True,
            },
            "bot_user": {"display_name": NAME, "always_online": True},
            "slash_commands": [_command(base_url, socket_mode=socket_mode)],
        },
        "oauth_config": {"scopes": {"bot": sorted(SCOPES | HISTORY if history else SCOPES)}},
        "settings": {
            "event_subscriptions": {**called, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **called},
            "org_deploy_enabled": False,
            "socket_mode_enabled": socket_mode,
            "token_rotation_enabled": False,  # a rotated token would have to be fetched; ours is entered once
        },
    }


def _command(base_url: str, *, socket_mode: bool) -> dict[str, Any]:
    called = {} if socket_mode else {"url": f"{base_url}{_PATH}"}
    return {
        "command": COMMAND,
        **called,
        "description": "What waits for your answer",
        "usage_hint": "list | link CODE | unlink | help",
        "should_escape": False,
    }
