"""The payload of a callback's job in, the ended task that it is about out: a request, or several that are one task."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from approvals import bundles, handle
from approvals.models import AccessRequest, Bundle


@dataclass(frozen=True, slots=True)
class Ended:
    """What is told of it. It is recorded in the thread of `request`: its own, or its first item's."""

    task: AccessRequest | Bundle
    request: AccessRequest
    status: str
    at: datetime | None

    def document(self, *, brief: bool, now: datetime) -> dict[str, Any]:
        """What a credential would be told if it asked."""
        if isinstance(self.task, Bundle):
            return handle.bundle(self.task, brief=brief, now=now)
        return handle.document(self.task, brief=brief, now=now)


def of(payload: Mapping[str, Any]) -> Ended:
    """As it is now."""
    if "bundle" not in payload:
        request = AccessRequest.objects.select_related("tenant").get(pk=payload["request"])
        return Ended(request, request, request.status, request.closed_at)
    bundle = Bundle.objects.select_related("tenant").get(pk=payload["bundle"])
    requests = bundles.requests_of(bundle)
    status = bundles.together(request.status for request in requests)
    return Ended(bundle, requests[0], status, bundle.ended_at)
