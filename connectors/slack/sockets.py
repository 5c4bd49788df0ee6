"""Accounts with an app-level token in, an open socket each token out: how Slack is heard without an address of ours.

The token stands for the signature here: whoever holds it is the app. Everything behind the door is as it is over HTTP.
https://docs.slack.dev/apis/events-api/using-socket-mode/
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from time import time

from django.db import close_old_connections
from slack_bolt.adapter.socket_mode.internals import run_bolt_app, send_response
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from connectors.port import Account
from connectors.slack import clicks
from connectors.slack.app import app_of
from connectors.slack.failures import SlackRefused, translated
from connectors.slack.transport import SILENT, client

log = logging.getLogger(__name__)

_TOKEN = "Slack does not take the app-level token (xapp-…). Make one under Basic Information, with connections:write."
_TOKEN_CODES = frozenset({"invalid_auth", "not_authed", "not_allowed_token_type", "missing_scope", "token_revoked"})
Heard = Callable[[BaseSocketModeClient, SocketModeRequest], None]


class Sockets:
    """The sockets that are open now. Not for several threads."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Sequence[Account], SocketModeClient]] = {}

    @property
    def tenants(self) -> list[str]:
        """Whose Slack is heard."""
        return sorted(account.tenant for theirs, _ in self._open.values() for account in theirs)

    def agree(self, accounts: Sequence[Account]) -> list[str]:
        """Open what is missing, close what is nobody's any more or changed; what could not be opened, in words."""
        wanted = _by_token(accounts)
        for token in [token for token, (theirs, _) in self._open.items() if wanted.get(token) != theirs]:
            self._close(token)
        return [words for token in wanted.keys() - self._open.keys() if (words := self._try(token, wanted[token]))]

    def close(self) -> None:
        """After what is being answered is answered."""
        for token in list(self._open):
            self._close(token)

    def _try(self, token: str, theirs: Sequence[Account]) -> str:
        socket = SocketModeClient(app_token=token, web_client=client(theirs[0]), logger=SILENT)
        socket.socket_mode_request_listeners.append(hearing(theirs))
        socket.on_close_listeners.append(_closed)
        try:
            with translated():
                socket.connect()
        except SlackRefused as refused:
            socket.close()
            words = f"{_TOKEN} ({refused.code})" if refused.code in _TOKEN_CODES else str(refused)
            return f"{', '.join(account.tenant for account in theirs)}: {words}"
        self._open[token] = (theirs, socket)
        return ""

    def _close(self, token: str) -> None:
        _, socket = self._open.pop(token)
        socket.close()


def _by_token(accounts: Sequence[Account]) -> Mapping[str, Sequence[Account]]:
    """One app may serve the workspaces of several tenants; Slack would share its payloads out between two sockets."""
    found: dict[str, list[Account]] = defaultdict(list)
    for account in accounts:
        if token := account.settings.get("app_token", ""):
            found[token].append(account)
    return found


def hearing(theirs: Sequence[Account]) -> Heard:
    """As a listener: the one account it is for answers; what is for none, or cannot be told, is not taken."""

    def hear(socket: BaseSocketModeClient, request: SocketModeRequest) -> None:
        started = time()
        close_old_connections()  # these threads live as long as the process, and no request of Django's ends in them
        try:
            meant = [account for account in theirs if clicks.is_for(account, request.payload)]
            if len(meant) == 1:
                send_response(socket, request, run_bolt_app(app_of(meant[0]), request), started)
            else:
                log.warning("a payload from Slack is not for one account", extra={"accounts": len(meant)})
        except Exception:
            log.exception("a payload from Slack was not answered")
        finally:
            close_old_connections()

    return hear


def _closed(code: int, _reason: str | None) -> None:
    log.info("a socket to Slack was closed; it is opened again", extra={"code": code})
