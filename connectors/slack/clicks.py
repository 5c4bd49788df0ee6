"""A payload of Slack's in, who did what to which request out. Pure, and strict: what is missing raises.

Payloads: https://docs.slack.dev/reference/interaction-payloads/
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.port import Account
from connectors.slack.transport import EVENT

Body = Mapping[str, Any]
_UNKEEPABLE = re.compile("[\x00\ud800-\udfff]")
_DEEPEST = 40
_APP_TOKEN_PARTS = 3  # xapp-1-A0123456789-…: the app's id stands third


class NotUnderstood(ValueError):
    """A member of the payload is missing or of another type than Slack documents."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in Slack. `identity` is workspace and user id: never a name, which anybody may take."""

    identity: str
    user: str
    shown_as: str


@dataclass(frozen=True, slots=True)
class Click:
    """One press of one button. `is_offered`: the message or view itself, as Slack keeps it, has that button.

    `is_about`: it speaks of that request at all. The button's value comes back through the person's client. What the
    message holds does not.
    """

    person: Person
    request_id: str
    is_offered: bool
    is_about: bool
    channel: str
    thread: str
    trigger: str
    key: str


def person_of(body: Body) -> Person:
    """Who acted: from a click or a modal, a slash command, or an event."""
    user = body.get("user")
    if isinstance(user, Mapping):
        team = user.get("team_id") or _text(_mapping(body, "team"), "id")
        return _person(team, _text(user, "id"), user.get("username") or user.get("name"), _domain(body))
    if "user_id" in body:
        return _person(_text(body, "team_id"), _text(body, "user_id"), body.get("user_name"), body.get("team_domain"))
    event = _mapping(body, "event")
    return _person(event.get("user_team") or _text(body, "team_id"), _text(event, "user"), None, None)


def teams_of(body: Body) -> set[str]:
    """Every workspace the payload names: the app's, and that of whoever acted."""
    user, team = body.get("user"), body.get("team")
    named = [body.get("team_id"), user.get("team_id") if isinstance(user, Mapping) else None]
    named.append(team.get("id") if isinstance(team, Mapping) else None)
    return {str(one) for one in named if one}


def is_for(account: Account, body: Body) -> bool:
    """Whether workspace and app are the account's own, as far as it says which those are."""
    team, app = account.settings.get("team", ""), _app_id(account)
    if team and teams_of(body) != {team}:
        return False
    return not app or body.get("api_app_id") == app


def is_from(account: Account, person: Person) -> bool:
    """Whether that is somebody of the account's workspace, as far as it says which one that is."""
    team = account.settings.get("team", "")
    return not team or person.identity.startswith(f"{team}/")


def is_keepable(value: object) -> bool:
    """Whether every text in it can be stored: NUL and half surrogate pairs cannot, and no person typed them.

    Level by level, and no deeper than anything of Slack's: who signs may still send brackets in brackets.
    """
    level = [value]
    for _ in range(_DEEPEST):
        if any(isinstance(one, str) and _UNKEEPABLE.search(one) for one in level):
            return False
        level = [member for one in level for member in _members(one)]
        if not level:
            return True
    return False


def _members(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return (*value, *value.values())
    return value if isinstance(value, list) else ()


def click_of(body: Body, *, action_id: str) -> Click:
    """The press of one of our buttons. Raises NotUnderstood."""
    actions = body.get("actions")
    if not isinstance(actions, list) or not actions or not isinstance(actions[0], Mapping):
        raise NotUnderstood("actions")
    action, place, person = actions[0], _mapping(body, "container"), person_of(body)
    where = str(place.get("message_ts") or place.get("view_id") or "")
    value = _text(action, "value")
    return Click(
        person=person,
        request_id=value,
        is_offered=_offers(body, action_id, value),
        is_about=_is_about(body, value),
        channel=str(place.get("channel_id") or ""),
        thread=str(place.get("thread_ts") or ""),
        trigger=_text(body, "trigger_id"),
        key=f"{person.identity}:{where}:{action_id}:{_text(action, 'action_ts')}",
    )


def kept(told: Mapping[str, Any]) -> Click:
    """A click as a job's payload holds it."""
    return Click(**{**told, "person": Person(**told["person"])})


def value_in(view: Body, action_id: str) -> str:
    """What was filled into the input of that name; empty if nothing was."""
    for block in _maybe(_maybe(view, "state"), "values").values():
        given = block.get(action_id) if isinstance(block, Mapping) else None
        if isinstance(given, Mapping):
            return str(given.get("value") or "")
    return ""


# --- reading


def _person(team: object, user: str, name: object, domain: object) -> Person:
    if not isinstance(team, str) or not team:
        raise NotUnderstood("team")
    handle = f"@{name}" if name else user
    place = f"{domain} ({team}/{user})" if domain else f"{team}/{user}"
    return Person(f"{team}/{user}", user, f"{handle} in {place}" if name else place)


def _domain(body: Body) -> object:
    return _maybe(body, "team").get("domain")


def _app_id(account: Account) -> str:
    """The app's id, which its app-level token carries; empty where there is no such token."""
    parts = account.settings.get("app_token", "").split("-")
    named = len(parts) > _APP_TOKEN_PARTS and parts[0] == "xapp" and parts[2].startswith("A")
    return parts[2] if named else ""


def _is_about(body: Body, request_id: str) -> bool:
    """Whether the message speaks of this request at all: by a button it has, or by the metadata we gave it."""
    metadata = _maybe(_maybe(body, "message"), "metadata")
    named = metadata.get("event_type") == EVENT and _maybe(metadata, "event_payload").get("request") == request_id
    return named or any(button.get("value") == request_id for button in _buttons(body))


def _offers(body: Body, action_id: str, value: str) -> bool:
    return any(one.get("action_id") == action_id and one.get("value") == value for one in _buttons(body))


def _buttons(body: Body) -> Iterator[Body]:
    blocks = _maybe(body, "message" if body.get("message") else "view").get("blocks")
    for block in _mappings(blocks):
        for element in _mappings([*_mappings(block.get("elements")), block.get("accessory")]):
            if element.get("type") == "button":
                yield element


def _mappings(values: object) -> list[Body]:
    return [one for one in values if isinstance(one, Mapping)] if isinstance(values, list) else []


def _mapping(body: Body, name: str) -> Body:
    found = body.get(name)
    if not isinstance(found, Mapping):
        raise NotUnderstood(name)
    return found


def _maybe(body: Body, name: str) -> Body:
    found = body.get(name)
    return found if isinstance(found, Mapping) else {}


def _text(body: Body, name: str) -> str:
    found = body.get(name)
    if not isinstance(found, str) or not found:
        raise NotUnderstood(name)
    return found
