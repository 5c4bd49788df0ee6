"""What a person finds on blocks to press and to fill, and what the client itself says of how they filled it."""

from collections.abc import Mapping

from examples.lookalikes.slack import payloads, rules
from examples.lookalikes.slack.workspace import Blocks, Json


class Impossible(Exception):
    """A person cannot do that in Slack: it is not on their screen, or the client stops them. The text says why."""


class Unfilled(Impossible):
    """The client keeps a modal back whose fields are not filled as they should be; they say so themselves."""


def elements_of(blocks: Blocks) -> list[tuple[str, Json]]:
    """Every element a person can use, with the id of its block."""
    found: list[tuple[str, Json]] = []
    for block in blocks:
        candidates = [block.get("accessory"), block.get("element")]
        candidates += block.get("elements", []) if block["type"] == "actions" else []
        found += [(block["block_id"], one) for one in candidates if one and "action_id" in one]
    return found


def element_of(blocks: Blocks, action_id: str) -> tuple[str, Json]:
    for block_id, element in elements_of(blocks):
        if element["action_id"] == action_id:
            return block_id, element
    raise Impossible(f"there is nothing called {action_id} here")


def state_of(blocks: Blocks, values: Mapping[str, str]) -> dict[str, dict[str, Json]]:
    """Everything fillable as `state.values`; `values` go by action id, what is left out keeps its initial value."""
    state: dict[str, dict[str, Json]] = {}
    for block_id, element in elements_of(blocks):
        if element["type"] in rules.FILLED:
            given = values.get(element["action_id"], _initial(element))
            try:
                state.setdefault(block_id, {})[element["action_id"]] = payloads.state_of(element, given)
            except KeyError:
                raise Impossible(f"{element['action_id']} offers no {given!r}") from None
    return state


def _initial(element: Json) -> str | None:
    options = element.get("initial_options") or [one for one in [element.get("initial_option")] if one]
    if options:
        return ",".join(one["value"] for one in options)
    given = element.get("initial_value") or element.get("initial_user")
    return str(given) if given else None


def missing(blocks: Blocks, values: Mapping[str, str]) -> dict[str, str]:
    """What the client itself says before it sends a modal: required fields, lengths."""
    said: dict[str, str] = {}
    for block in blocks:
        if block["type"] != "input":
            continue
        element = block["element"]
        given = values.get(element["action_id"], _initial(element)) or ""
        if not given.strip() and not block.get("optional"):
            said[block["block_id"]] = "Please complete this required field."
        elif given and len(given) < element.get("min_length", 0):
            said[block["block_id"]] = f"Please enter at least {element['min_length']} characters."
        elif len(given) > element.get("max_length", 3000):
            said[block["block_id"]] = f"Please enter at most {element.get('max_length', 3000)} characters."
    return said
