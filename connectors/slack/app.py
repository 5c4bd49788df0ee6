"""A tenant's account in, the Bolt app that knows who listens to what out; made once an account.

Listeners run in the calling thread, before the answer: their rows are committed when Slack is told "taken", and nothing
is left to a thread that a restart would lose. Bolt calls nothing: who the bot is, is never asked.
"""

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from slack_bolt import Ack, App, BoltContext, BoltRequest, BoltResponse
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.error import BoltUnhandledRequestError

from connectors.port import Account
from connectors.slack import clicks, command, inbound, modal
from connectors.slack.card import APPROVE, DENY, DETAILS, OPEN
from connectors.slack.inbound import Reply
from connectors.slack.manifest import COMMAND
from connectors.slack.transport import client
from evidence import clock

log = logging.getLogger(__name__)

# Bolt tells in its own log what it got. It got arguments and names.
_SILENT = logging.getLogger("connectors.slack.bolt")
_SILENT.setLevel(logging.CRITICAL + 1)

Answering = Callable[..., Reply]
NOW = "countersign.now"  # in a request's context: the database's time, where it is known already

_ACTIONS: Mapping[str, Answering] = {one: partial(inbound.pressed, action=one) for one in (APPROVE, DENY, DETAILS)}
_VIEWS: Mapping[str, Answering] = {modal.DENY_REASON: inbound.reason_given, modal.TOTP: inbound.code_given}


def app_of(account: Account) -> App:
    """The account's app, for requests over HTTP and through a socket alike."""
    return _made(account.tenant, account.tenant_id, account.kind, tuple(sorted(account.settings.items())))


@lru_cache(maxsize=256)
def _made(tenant: str, tenant_id: int, kind: str, held: tuple[tuple[str, str], ...]) -> App:
    account = Account(tenant, tenant_id, kind, dict(held))
    app = App(
        name=_SILENT.name,  # Bolt gives the logger of this name our logger's level: "countersign" would fall silent
        logger=_SILENT,
        client=client(account),
        signing_secret=account.settings.get("signing_secret", ""),
        authorize=_authorizing(account),
        before_authorize=_only_for(account),
        token_verification_enabled=False,
        request_verification_enabled=bool(account.settings.get("signing_secret")),
        ssl_check_enabled=False,
        process_before_response=True,
        raise_error_for_unhandled_request=True,
    )
    app.error(_failed)
    _listen(app, account)
    return app


def _listen(app: App, account: Account) -> None:
    for action, answering in _ACTIONS.items():
        app.action(action)(_listener(account, answering))
    for callback, answering in _VIEWS.items():
        app.view(callback)(_listener(account, answering))
    app.action(OPEN)(_taken)
    app.command(COMMAND)(_listener(account, command.run))
    app.event("app_home_opened")(_listener(account, inbound.home_opened))


def _listener(account: Account, answering: Answering) -> Callable[..., BoltResponse]:
    def listen(ack: Ack, body: dict[str, Any], context: BoltContext) -> BoltResponse:
        reply = answering(account, body, now=context.get(NOW) or clock.now())
        return ack(dict(reply)) if reply else ack()

    return listen


def _taken(ack: Ack) -> BoltResponse:
    return ack()


def _authorizing(account: Account) -> Callable[..., AuthorizeResult]:
    """What is stored, instead of asking Slack within its three seconds."""

    def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=enterprise_id, team_id=team_id, bot_token=account.settings.get("bot_token", "")
        )  # fmt: skip

    return authorize


def _only_for(account: Account) -> Callable[..., BoltResponse | None]:
    """Another workspace's or another app's people are turned away, however well signed."""

    def only(body: dict[str, Any], next: Callable[[], BoltResponse]) -> BoltResponse | None:  # noqa: A002  Bolt's name
        if not clicks.is_keepable(body):
            return BoltResponse(status=400, body="")
        if body.get("type") == "url_verification" or clicks.is_for(account, body):
            return next()
        return BoltResponse(status=401, body="")

    return only


def _failed(error: Exception, request: BoltRequest) -> BoltResponse:
    """What nobody listens to, what is not as Slack documents it, and our own faults. No body is logged."""
    if isinstance(error, BoltUnhandledRequestError):
        return BoltResponse(status=404, body="")
    if isinstance(error, clicks.NotUnderstood):
        log.warning("a payload from Slack was not understood", extra={"member": str(error), "mode": request.mode})
        return BoltResponse(status=400, body="")
    log.error("a listener for Slack failed", exc_info=error)
    return BoltResponse(status=500, body="")
