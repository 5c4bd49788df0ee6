"""An address and a status expected in, whether it answers so out. Blocking, over the network, for five seconds at most.

Who asked for the waiver chose the address, so it is treated as hostile; see `outbox.outward`. A redirect is an answer
of its own and is not followed; no body is read.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings

from approvals.waivers.finding import Finding
from outbox import outward, reachable

log = logging.getLogger(__name__)

INSIDE: Final = reachable.networks("127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7")
"""What COUNTERSIGN_PROBE_PRIVATE lets in. Never link-local addresses: clouds answer there with credentials."""

_HEADERS: Final = {"user-agent": "countersign-check/1", "accept": "*/*"}


def probe(said: Mapping[str, Any]) -> Finding:
    """Look once. Whatever keeps us from looking means that the control does not hold."""
    try:
        status = outward.get(said["url"], headers=_HEADERS, allowed=_allowed())
    except reachable.Unreachable as error:
        return Finding(holds=False, found=str(error))
    except Exception as error:
        log.exception("a check could not be made")
        return Finding(holds=False, found=f"It could not be looked at: {type(error).__name__}.")
    if status == said["expect"]:
        return Finding(holds=True, found=f"It answered {status}.")
    return Finding(holds=False, found=f"It answered {status}, not {said['expect']}.")


def _allowed() -> tuple[reachable.Network, ...]:
    return INSIDE if settings.COUNTERSIGN.probe_private else ()
