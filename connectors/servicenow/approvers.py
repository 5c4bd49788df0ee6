"""A request in, who is asked by an approval record of their own out, and what that record should say.

Only people whose `sys_id` an administrator or they themselves linked; a name or an address links nobody.
"""

import re
from collections.abc import Mapping

from approvals import requirements, separation
from approvals.models import AccessRequest, Status
from registry.models import Membership

_SYS_ID = re.compile(r"[0-9a-f]{32}")
_VOTED = {"approve": "approved", "deny": "rejected"}


def wanted(request_id: str, *, tenant_id: int) -> Mapping[str, str]:
    """The state of each approval by its approver's sys_id, as the votes and the request stand now."""
    request = AccessRequest.objects.select_related("tenant").get(pk=request_id, tenant_id=tenant_id)
    votes = {vote.human_id: vote.decision for vote in request.votes.all()}
    otherwise = "requested" if request.status == Status.PENDING else "not_required"
    return {
        sys_id: _VOTED.get(votes.get(member.user.human_id, ""), otherwise)
        for member in _asked(request)
        if _SYS_ID.fullmatch(sys_id := str(member.identities.get("servicenow", "")))
    }


def _asked(request: AccessRequest) -> list[Membership]:
    """Members of the teams that are asked, without those on the asking side and without service accounts."""
    teams = {team for one in requirements.from_json(request.requirements) for team in one.teams}
    out = separation.excluded(request)
    members = Membership.objects.filter(
        tenant_id=request.tenant_id, active=True, user__is_active=True, user__is_service=False,
        identities__has_key="servicenow",
    ).select_related("user")  # fmt: skip
    in_teams = members.filter(pk__in=members.filter(teams__team__name__in=teams).values("pk"))
    return [member for member in in_teams.order_by("pk") if member.user.human_id not in out]
