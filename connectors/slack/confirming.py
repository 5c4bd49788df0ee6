"""A vote that needs more than a click in, where it is confirmed out: a window for a code, or our page and a number."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from approvals import intents
from approvals.models import AccessRequest, Decision, Intent
from connectors import answers
from connectors.port import Account
from connectors.slack import clicks, codes, modal
from connectors.slack.signature import KIND
from connectors.slack.text import code, cut

_NAME = 100


def begin(
    account: Account, identity: str, request: AccessRequest, decision: Decision, *, reason: str = "", now: datetime
) -> Intent:
    """What they meant, kept until they confirm it. Raises NotUnderstood where nobody is known by this identity."""
    member = answers.member_of(account.tenant_id, KIND, identity)
    if member is None:
        raise clicks.NotUnderstood("nobody is known by this identity any more")
    return intents.begin(request, membership=member, decision=decision, reason=reason, surface=KIND, now=now)


def next_window(intent: Intent, request: AccessRequest, *, is_known: bool) -> Mapping[str, Any]:
    """`is_known`: they had the request before them as it is now. A code is asked only of who did."""
    if is_known and codes.allowed(request):
        verb = "Approve" if intent.decision == Decision.APPROVE else "Deny"
        return modal.totp(what=named(request), verb=verb, memory=json.dumps({"intent": intent.pk}))
    return modal.confirm(intents.link(intent), number=intent.number)


def named(asked: AccessRequest) -> str:
    """Who asks for what, in a line of markup."""
    agent, tool, method = (code(cut(name, _NAME)) for name in (asked.agent_id, asked.tool_id, asked.method))
    return f"{agent} asks to run {tool} {method}"
