"""Block Kit's documented limits: blocks or a view in, Slack's own complaints out (an empty list is good).

https://docs.slack.dev/reference/block-kit/ for blocks and elements, https://docs.slack.dev/reference/views/ for views.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Check = Callable[[Any, str], Iterator[str]]


def _say(words: str, at: str) -> str:
    return f"[ERROR] {words} [json-pointer:{at}]"


def string(most: int, least: int = 1) -> Check:
    def check(value: Any, at: str) -> Iterator[str]:
        if not isinstance(value, str):
            yield _say("must be a string", at)
        elif len(value) > most:
            yield _say(f"must be less than {most + 1} characters", at)
        elif len(value) < least:
            yield _say(f"must be more than {least - 1} characters", at)

    return check


def boolean(value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, bool):
        yield _say("must be a boolean", at)


def integer(value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, int) or isinstance(value, bool):
        yield _say("must be an integer", at)


def anything(_value: Any, _at: str) -> Iterator[str]:
    yield from ()


def choice(*allowed: str) -> Check:
    def check(value: Any, at: str) -> Iterator[str]:
        if value not in allowed:
            yield _say(f"unsupported value: {value}", at)

    return check


def listing(item: Check, most: int, least: int = 1) -> Check:
    def check(value: Any, at: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield _say("must be an array", at)
            return
        if len(value) > most:
            yield _say(f"no more than {most} items allowed", at)
        if len(value) < least:
            yield _say(f"no fewer than {least} items allowed", at)
        for n, one in enumerate(value):
            yield from item(one, f"{at}/{n}")

    return check


def shape(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    known = {**required, **(optional or {})}

    def check(value: Any, at: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield _say("must be an object", at)
            return
        for name in required:
            if name not in value:
                yield _say(f"missing required field: {name}", at)
        for name, one in value.items():
            if name not in known:
                yield _say(f"invalid additional property: {name}", at)
            elif one is not None:
                yield from known[name](one, f"{at}/{name}")

    return check


def by_type(table: Mapping[str, Check]) -> Check:
    def check(value: Any, at: str) -> Iterator[str]:
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in table:
            yield _say(f"unsupported type: {kind}", f"{at}/type")
        else:
            yield from table[kind](value, at)

    return check


def text(most: int, *kinds: str) -> Check:
    return shape(
        {"type": choice(*(kinds or ("plain_text", "mrkdwn"))), "text": string(most)},
        {"emoji": boolean, "verbatim": boolean},
    )


def plain(most: int) -> Check:
    return text(most, "plain_text")


TYPE = anything  # already chosen by
NAME = string(255)
CONFIRM = shape(
    {"title": plain(100), "text": text(300), "confirm": plain(30), "deny": plain(30)},
    {"style": choice("primary", "danger")},
)
OPTION = shape({"text": text(75), "value": string(150)}, {"description": text(75), "url": string(3000)})
GROUP = shape({"label": plain(75), "options": listing(OPTION, 100)})
IMAGE = shape({"type": TYPE, "alt_text": string(2000)}, {"image_url": string(3000), "slack_file": anything})
_CHOSEN = {"action_id": NAME, "confirm": CONFIRM, "focus_on_load": boolean}
_TYPED = {
    "action_id": NAME, "placeholder": plain(150), "initial_value": string(3000, 0), "focus_on_load": boolean,
    "dispatch_action_config": anything,
}  # fmt: skip

BUTTON = shape(
    {"type": TYPE, "text": plain(75)},
    {"action_id": NAME, "url": string(3000), "value": string(2000), "style": choice("primary", "danger"),
     "confirm": CONFIRM, "accessibility_label": string(75)},
)  # fmt: skip
SELECT = shape(
    {"type": TYPE},
    {**_CHOSEN, "placeholder": plain(150), "options": listing(OPTION, 100), "option_groups": listing(GROUP, 100),
     "initial_option": OPTION},
)  # fmt: skip
RADIO = shape({"type": TYPE, "options": listing(OPTION, 10)}, {**_CHOSEN, "initial_option": OPTION})
CHECKBOXES = shape({"type": TYPE, "options": listing(OPTION, 10)}, {**_CHOSEN, "initial_options": listing(OPTION, 10)})
OVERFLOW = shape({"type": TYPE, "options": listing(OPTION, 5)}, {"action_id": NAME, "confirm": CONFIRM})
USERS = shape({"type": TYPE}, {**_CHOSEN, "placeholder": plain(150), "initial_user": NAME})
TEXT_INPUT = shape(
    {"type": TYPE}, {**_TYPED, "multiline": boolean, "min_length": integer, "max_length": integer}
)  # fmt: skip
NUMBER_INPUT = shape({"type": TYPE, "is_decimal_allowed": boolean}, {**_TYPED, "min_value": NAME, "max_value": NAME})

PRESSED = {"button": BUTTON, "static_select": SELECT, "radio_buttons": RADIO, "checkboxes": CHECKBOXES,
           "overflow": OVERFLOW, "users_select": USERS}  # fmt: skip
FILLED = {"plain_text_input": TEXT_INPUT, "number_input": NUMBER_INPUT, "static_select": SELECT,
          "radio_buttons": RADIO, "checkboxes": CHECKBOXES, "users_select": USERS}  # fmt: skip


def _block(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    return shape({"type": TYPE, **required}, {"block_id": NAME, **(optional or {})})


_SECTION = _block(
    {},
    {"text": text(3000), "fields": listing(text(2000), 10), "accessory": by_type({**PRESSED, "image": IMAGE}),
     "expand": boolean},
)  # fmt: skip


def _section(value: Any, at: str) -> Iterator[str]:
    yield from _SECTION(value, at)
    if not value.get("text") and not value.get("fields"):
        yield _say("missing required field: text or fields", at)


BLOCKS: Mapping[str, Check] = {
    "header": _block({"text": plain(150)}),
    "section": _section,
    "divider": _block({}),
    "context": _block(
        {"elements": listing(by_type({"plain_text": plain(2000), "mrkdwn": text(2000), "image": IMAGE}), 10)}
    ),
    "actions": _block({"elements": listing(by_type(PRESSED), 25)}),
    "input": _block(
        {"label": plain(2000), "element": by_type(FILLED)},
        {"hint": plain(2000), "optional": boolean, "dispatch_action": boolean},
    ),
    "image": _block(
        {"alt_text": string(2000)}, {"image_url": string(3000), "slack_file": anything, "title": plain(2000)}
    ),
    "rich_text": _block({"elements": anything}),
}

VIEWS: Mapping[str, Check] = {
    kind: shape(
        {"type": TYPE, "blocks": listing(by_type(BLOCKS), 100, 0), **({"title": plain(24)} if kind == "modal" else {})},
        {"submit": plain(24), "close": plain(24), "private_metadata": string(3000, 0), "callback_id": string(255, 0),
         "external_id": string(255, 0), "clear_on_close": boolean, "notify_on_close": boolean, "title": plain(24),
         "submit_disabled": boolean},
    )
    for kind in ("modal", "home")
}  # fmt: skip


def _twice(blocks: Any, at: str) -> Iterator[str]:
    """Names must be unique: blocks within their surface, elements within their block."""
    seen: set[str] = set()
    for n, block in enumerate(blocks):
        name = block.get("block_id")
        if name in seen:
            yield _say(f"block_id {name} already exists", f"{at}/{n}/block_id")
        seen.update([name] if name else [])
        elements = block.get("elements")
        names = (
            [one.get("action_id") for one in elements if isinstance(one, dict)] if isinstance(elements, list) else []
        )
        given = [one for one in names if one]
        if len(given) != len(set(given)):
            yield _say("action_id already exists", f"{at}/{n}/elements")


def complaints_about_blocks(blocks: Any, *, at: str = "/blocks", most: int = 50) -> list[str]:
    """Everything Slack would refuse in a message's blocks."""
    said = list(listing(by_type(BLOCKS), most, 0)(blocks, at))
    return said or list(_twice(blocks, at))


def complaints_about_view(view: Any) -> list[str]:
    """Everything Slack would refuse in a modal or an App Home."""
    said = list(by_type(VIEWS)(view, "/view"))
    if said:
        return said
    asks = any(block["type"] == "input" for block in view["blocks"])
    if view["type"] == "modal" and asks and not view.get("submit"):
        return [_say("missing required field: submit", "/view")]
    return list(_twice(view["blocks"], "/view/blocks"))


def complaints_about_metadata(metadata: Any) -> list[str]:
    return list(
        shape({"event_type": string(255), "event_payload": _values}, {"entities": anything})(metadata, "/metadata")
    )


def _values(value: Any, at: str) -> Iterator[str]:
    """A flat object of plain values or lists of them."""
    if not isinstance(value, dict):
        yield _say("must be an object", at)
        return
    for name, one in value.items():
        if not isinstance(one, str | int | float | bool | list | None):
            yield _say("must be a plain value", f"{at}/{name}")
