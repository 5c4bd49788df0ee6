"""A request in, whether its step-up code may be typed in Slack out: a tenant's wish, never for the gravest tier."""

from approvals import quorum, requirements
from approvals.models import AccessRequest
from countersign.policy.values import StepUp

HIGHEST_TIER = 3


def allowed(request: AccessRequest) -> bool:
    """Off unless the tenant says otherwise, up to tier 3, and only where a TOTP code is enough."""
    if not request.tenant.chat_codes or request.risk_tier is None or request.risk_tier > HIGHEST_TIER:
        return False
    asks = requirements.from_json(request.requirements)
    return quorum.strongest(one.step_up for one in asks) == StepUp.TOTP
