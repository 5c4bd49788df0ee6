"""What Slack refused in, a TransportError in our words out: what happened, and what an administrator can do.

Slack's own error codes are told, never its other words: an answer may repeat what was sent, or be somebody else's page.
https://docs.slack.dev/reference/methods/chat.postMessage lists the codes.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus
from http.client import HTTPException

from slack_sdk.errors import SlackApiError, SlackClientError

from connectors.port import TransportError

_REINSTALL = "Install the app to the workspace again and enter the new bot token."
_OURS = "This is a fault of Countersign: please report it. The request can be decided on the web."
# What trying again does not mend.
PERMANENT: Mapping[str, str] = {
    "invalid_auth": f"Slack does not know the bot token, or not from this address. {_REINSTALL}",
    "not_authed": "No bot token was sent. Enter it.",
    "account_inactive": f"The app was removed from the workspace, or the workspace is gone. {_REINSTALL}",
    "token_revoked": f"The bot token was revoked. {_REINSTALL}",
    "token_expired": f"The bot token has expired: the app rotates its tokens. Turn that off. {_REINSTALL}",
    "not_allowed_token_type": "This is another kind of token. The bot token begins with xoxb-.",
    "missing_scope": "The app lacks a scope. Compare its manifest with `manage.py slack_manifest`; install it again.",
    "no_permission": "The app may not do this. Compare its manifest with `manage.py slack_manifest`.",
    "channel_not_found": "There is no such channel, or it is private and the app is not in it. Name the channel by its"
    " id (C…) and invite the app: /invite @Countersign.",
    "not_in_channel": "The app is not in the channel. Invite it there: /invite @Countersign.",
    "is_archived": "The channel is archived. Name another one in the registry.",
    "user_not_found": "There is no such person in the workspace. Look at how they are linked.",
    "restricted_action": "The workspace lets only some people post in this channel. Let the app, or name another one.",
    "restricted_action_read_only_channel": "The channel is read-only. Let the app post there, or name another one.",
    "team_access_not_granted": "The app was not granted this workspace. Ask the organisation's administrator.",
    "ekm_access_denied": "The organisation's administrators have suspended posting.",
    "edit_window_closed": "The workspace lets messages be edited for a while only, and it is over. Allow apps to edit.",
    "cant_update_message": "The message is another app's: was the app made anew? New requests are told by the new one.",
    "message_not_found": "The message was deleted.",
    "thread_not_found": "The message was deleted.",
    "cannot_reply_to_message": "The message was deleted.",
    "not_enabled": "The app's Home tab is switched off. Switch it on under App Home, or use our manifest.",
    "invalid_blocks": f"Slack refused the card's layout. {_OURS}",
    "invalid_blocks_format": f"Slack refused the card's layout. {_OURS}",
    "invalid_arguments": f"Slack refused the call. {_OURS}",
    "msg_too_long": f"Slack refused the card as too long. {_OURS}",
    "msg_blocks_too_long": f"Slack refused the card as too long. {_OURS}",
    "no_text": f"Slack refused an empty message. {_OURS}",
    "metadata_too_large": f"Slack refused the message's metadata. {_OURS}",
    "invalid_metadata_format": f"Slack refused the message's metadata. {_OURS}",
    "unknown_method": "What answers there is not Slack's Web API. Look at the API address.",
}
GONE = frozenset({"message_not_found", "thread_not_found", "cannot_reply_to_message"})
_RATE = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_CODE = re.compile(r"[a-z][a-z0-9_]{1,60}").fullmatch
_USUALLY = timedelta(seconds=30)
_AT_MOST = timedelta(hours=1)


class SlackRefused(TransportError):
    """`code` is Slack's own name for it; empty where there was no answer of Slack's."""

    def __init__(
        self, message: str, *, code: str = "", permanent: bool = False, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message, permanent=permanent, retry_after=retry_after)
        self.code = code


@contextmanager
def translated() -> Iterator[None]:
    """Whatever the SDK raises, as a SlackRefused without a word of what was sent or answered."""
    try:
        yield
    except SlackApiError as error:
        raise _refused(error) from None
    except TimeoutError:
        raise SlackRefused("Slack did not answer in time. It is tried again.") from None
    except (OSError, HTTPException, SlackClientError, ValueError) as error:
        reason = getattr(error, "reason", None)
        what = type(reason if isinstance(reason, Exception) else error).__name__
        raise SlackRefused(f"Slack could not be reached ({what}). It is tried again.") from None


def _refused(error: SlackApiError) -> SlackRefused:
    answer = error.response
    status = int(getattr(answer, "status_code", 0) or 0)
    data = getattr(answer, "data", None)
    said = data.get("error") if isinstance(data, Mapping) else None
    code = said if isinstance(said, str) and _CODE(said) else ""
    if status == HTTPStatus.TOO_MANY_REQUESTS or code in _RATE:
        after = _retry_after(getattr(answer, "headers", {}))
        return SlackRefused("Slack asks us to slow down. It is tried again later.", code=code, retry_after=after)
    if code in PERMANENT:
        return SlackRefused(f"{PERMANENT[code]} ({code})", code=code, permanent=True)
    if not code and HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        words = f"What answers there is not Slack's Web API ({status}). Look at the API address and at the proxy."
        return SlackRefused(words, permanent=True)
    return SlackRefused(f"Slack failed ({code or status or 'no answer'}). It is tried again.", code=code)


def _retry_after(headers: Mapping[str, object]) -> timedelta:
    """Whole seconds, as Slack sends them; half a minute where it says nothing of use."""
    said = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    text = str(said[0] if isinstance(said, list) and said else said)
    return min(timedelta(seconds=int(text)), _AT_MOST) if re.fullmatch(r"\d{1,6}", text, re.ASCII) else _USUALLY
