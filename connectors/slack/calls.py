"""A method of the Web API and what to say by it in, Slack's answer or a SlackRefused out."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.conf import settings
from slack_sdk.models.blocks import SectionBlock
from slack_sdk.web import SlackResponse

from connectors.slack.failures import translated
from connectors.slack.text import cut, escape, linked, marked

_PAGE, _PAGES = 500, 3  # with the client's timeout, all calls of one telling fit into the time a delivery is ours
# Texts are ours to the last character: nothing in them is looked for, linked or unfolded. chat.update would otherwise.
AS_IT_IS: Mapping[str, Any] = {"parse": "none", "link_names": False}
POSTED: Mapping[str, Any] = {**AS_IT_IS, "unfurl_links": False, "unfurl_media": False}


def call(method: Callable[..., SlackResponse], **arguments: Any) -> SlackResponse:
    """One call. Raises SlackRefused."""
    with translated():
        return method(**arguments)


def pages(method: Callable[..., SlackResponse], **arguments: Any) -> Iterator[dict[str, Any]]:
    """Messages with their metadata, page by page; not all of a very long list."""
    cursor = ""
    for _ in range(_PAGES):
        answer = call(method, limit=_PAGE, include_all_metadata=True, cursor=cursor or None, **arguments)
        yield from answer.get("messages") or []
        cursor = (answer.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            return


def said(words: str) -> dict[str, Any]:
    """Words of ours as a message; of the addresses in them only ours become links."""
    markup = cut(linked(words, origin=settings.COUNTERSIGN.base_url), SectionBlock.text_max_length)
    return {"text": escape(cut(words, 300)), "blocks": [SectionBlock(text=marked(markup), expand=True).to_dict()]}
