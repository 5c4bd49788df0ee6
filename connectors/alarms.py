"""An alert that somebody must act on in; a word to the tenant's administrators, each told once, out."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction
from django.dispatch import receiver

from connectors import alerts, once, plain
from connectors.deliver import say_later
from evidence import clock
from evidence.alerts import alert_fired
from outbox.queue import enqueue, handler
from registry.models import Tenant

ALARM = "connectors.alarm"
DIVERGED = "outcome.diverged"
CHANGED = "connector.changed"
UNKNOWN_END = "outcome.indeterminate"
UNKNOWN_ENDS = "outcomes.coalesced"


@receiver(alert_fired)
def on_alert(tenant: str, name: str, detail: Mapping[str, Any], event_id: str, **_signal: Any) -> None:
    """Runs in the transaction of the alert: the job commits with it."""
    if name in _WORDS:
        enqueue(ALARM, {"tenant": tenant, "name": name, "event": event_id, "detail": dict(detail)}, tenant=tenant)


@handler(ALARM)
def tell(payload: Mapping[str, Any]) -> None:
    """Have it said to each of them once, save to who did it. Safe to repeat."""
    tenant, now = Tenant.objects.get(slug=payload["tenant"]), clock.now()
    words = _WORDS[payload.get("name", DIVERGED)](tenant, payload["detail"])
    for place in alerts.administrators(tenant):
        if place.config.get("person", "") == payload["detail"].get("by"):
            continue
        with transaction.atomic():
            if once.first(ALARM, f"{payload['event']}:{place.kind}:{place.key}", now=now):
                say_later(tenant, place, words)


def _diverged(tenant: Tenant, detail: Mapping[str, Any]) -> str:
    """In names of the registry and ids alone; what the verifier wrote stays in the house."""
    names, what = _action(detail)
    return "\n".join(
        (
            f"Countersign: a call of {tenant.slug} had another effect than was reported",
            f"{what}: an independent verifier found that it diverged. Evaluation {detail['evaluation']}.",
            "Look at what the tool did, and deactivate the agent or its enforcement point if you cannot explain it.",
            f"{settings.COUNTERSIGN.base_url}/decisions/?{urlencode(names)}",
        )
    )


def _unknown_end(tenant: Tenant, detail: Mapping[str, Any]) -> str:
    _, what = _action(detail)
    return "\n".join(
        (
            f"Countersign: nobody knows how a call of {tenant.slug} ended",
            f"{what}: it was begun and its end was never told. Evaluation {detail['evaluation']}.",
            "The same call is denied until an operator or administrator says whether it took effect.",
            f"{settings.COUNTERSIGN.base_url}/executions/{detail['evaluation']}/",
        )
    )


def _unknown_ends(tenant: Tenant, detail: Mapping[str, Any]) -> str:
    whose = plain.line(f"{detail['kind']} key {detail['name']} ({detail['credential']})", most=200)
    return "\n".join(
        (
            f"Countersign: nobody knows how many calls of {tenant.slug} ended",
            f"{whose}: {detail['ends']} within an hour, and more may come without a word about each.",
            "Each of them is denied until an operator or administrator says whether it took effect.",
            "An agent that leaves many by its own key is denied everything. Deactivate it if you cannot explain this.",
            f"{settings.COUNTERSIGN.base_url}/executions/",
        )
    )


def _action(detail: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Agent and tool by name, and both with the method on one line."""
    action = detail["action"]
    names = {name: str(action[name]) for name in ("agent", "tool") if name in action}
    return names, plain.line(" · ".join((*names.values(), str(action.get("method", "")))), most=200)


def _changed(tenant: Tenant, detail: Mapping[str, Any]) -> str:
    """The names of settings are ours; their values are nobody's to read."""
    return "\n".join(
        (
            f"Countersign: {detail['by']} changed how {tenant.slug} reaches {detail['kind']}",
            f"Entered anew: {', '.join(detail['changed'])}. It counts from {detail['counts_from']}.",
            "Whoever controls these can answer requests in other people's names.",
            "If you did not expect it, undo it now; if you did, confirm it, and it counts at once.",
            f"{settings.COUNTERSIGN.base_url}/admin/connectors/access/",
        )
    )


_WORDS: Mapping[str, Callable[[Tenant, Mapping[str, Any]], str]] = {
    DIVERGED: _diverged,
    CHANGED: _changed,
    UNKNOWN_END: _unknown_end,
    UNKNOWN_ENDS: _unknown_ends,
}
