"""The people's API for waivers: list, ask, preview, grant, end, attest. The same domain calls as the pages."""

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.authentication import SessionAuthentication
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import requirements
from approvals.api import StepUpAsked, StepUpGiven, VoteAsked, passed, voted
from approvals.models import Waiver
from approvals.problems import answered
from approvals.waivers import asking, controls, drafts, ending, exporting, register
from approvals.waivers.asking import Drafted
from approvals.waivers.moving import UnknownWaiver
from approvals.waivers_said import PackAsked, RevokeAsked, ShortenAsked, StrictJSON, TermsAsked, Wanted, told_faults
from approvals.waivers_told import CoveredShown, DraftShown, Preview, WaiverRow, WaiverWhole
from evidence import clock
from evidence.ledger import Actor
from registry import access
from registry.models import Membership

MONTH: Final = timedelta(days=30)

_PROBLEM = "application/problem+json"
_BAD = OpenApiResponse(OpenApiTypes.OBJECT, description="`errors` has each fault with its JSON pointer and its words.")
_ABSENT = OpenApiResponse(OpenApiTypes.OBJECT, description="No such waiver in this tenant.")
_NOT_ELIGIBLE = OpenApiResponse(OpenApiTypes.OBJECT, description="Not asked, or on the side that gains by it.")
_NOT_YOURS = OpenApiResponse(OpenApiTypes.OBJECT, description="Others may do this.")
_MOVED_ON = OpenApiResponse(OpenApiTypes.OBJECT, description="Not in a state, or not as it was shown, to do this.")
_TOO_MUCH = OpenApiResponse(OpenApiTypes.OBJECT, description="Too many uses: `manage.py export_evidence` writes it.")
_CODE_REFUSED = OpenApiResponse(OpenApiTypes.OBJECT, description="A fresh code is needed, or this one did not pass.")
_REUSED = OpenApiResponse(OpenApiTypes.OBJECT, description="The `Idempotency-Key` came with other terms before.")
_TOO_LONG = OpenApiResponse(OpenApiTypes.OBJECT, description="The `Idempotency-Key` is longer than 200 characters.")
_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same terms of the same person under it lead to the same waiver, as it then stands.",
)
_TOO_FAST = OpenApiResponse(OpenApiTypes.OBJECT, description="Approved faster than read; `Retry-After` says how long.")
_LOCKED = OpenApiResponse(OpenApiTypes.OBJECT, description="Too many wrong codes; `Retry-After` says how long.")


class _OfTenant(GenericAPIView[Waiver]):
    """Waivers of the caller's tenant; any other is as absent as one that never was."""

    authentication_classes = [access.PersonKey, SessionAuthentication]
    permission_classes = [access.IsMember]
    filter_backends = ()
    serializer_class: Any = WaiverWhole

    def get_queryset(self) -> QuerySet[Waiver]:
        if getattr(self, "swagger_fake_view", False):
            return Waiver.objects.none()
        wanted = Wanted(data=self.request.query_params)
        wanted.is_valid(raise_exception=True)
        return register.listed(access.tenant_for(self.request), **wanted.validated_data)


class Waivers(_OfTenant, ListAPIView[Waiver]):
    """`GET`: the last asked for first. `POST`: ask."""

    serializer_class = WaiverRow
    parser_classes = [StrictJSON]

    @extend_schema(parameters=[Wanted], responses={200: WaiverRow(many=True)})
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        request=TermsAsked,
        parameters=[_KEY],
        responses={201: WaiverWhole, (400, _PROBLEM): _BAD, (409, _PROBLEM): _REUSED, (422, _PROBLEM): _TOO_LONG},
    )
    @answered
    @told_faults
    def post(self, request: Request) -> Response:
        """Ask for one. It is pending until others grant it; it lifts nothing before."""
        member, key = access.membership_for(request), request.headers.get("Idempotency-Key", "")
        waiver = asking.ask(member.tenant, request.data, by=member, now=clock.now(), key=key)
        answer = Response(WaiverWhole(waiver).data, status=status.HTTP_201_CREATED)
        answer["Location"] = f"/api/v1/waivers/{waiver.pk}"
        return answer


class WaiverPreview(_OfTenant):
    """What would be asked, without asking."""

    parser_classes = [StrictJSON]

    @extend_schema(request=TermsAsked, responses={200: Preview, (400, _PROBLEM): _BAD})
    @told_faults
    def post(self, request: Request) -> Response:
        """The pins, who would have to grant it, and which of the last 30 days' calls it would have covered."""
        member, now = access.membership_for(request), clock.now()
        drafted = asking.draft(member.tenant, request.data, by=member, now=now)
        return Response(_preview(drafted, member, now=now))


class WaiverDrafts(_OfTenant):
    """What blueprints propose to ask for. Nothing is asked and nothing lifted by any of them."""

    @extend_schema(responses={200: DraftShown(many=True)})
    def get(self, request: Request) -> Response:
        found = drafts.listed(access.tenant_for(request))
        return Response(DraftShown(found, many=True).data)


class OneWaiver(_OfTenant):
    """One waiver, whole."""

    @extend_schema(responses={200: WaiverWhole, (404, _PROBLEM): _ABSENT})
    @answered
    def get(self, request: Request, waiver_id: str) -> Response:
        return Response(WaiverWhole(find(request, waiver_id)).data)


class WaiverStepUps(_OfTenant):
    """Pass a step-up, bound to one decision on one display of the waiver's request."""

    permission_classes = [access.CanVote]

    @extend_schema(
        request=StepUpAsked,
        responses={
            201: StepUpGiven, (401, _PROBLEM): _CODE_REFUSED, (404, _PROBLEM): _ABSENT, (409, _PROBLEM): _MOVED_ON,
            (429, _PROBLEM): _LOCKED,
        },
    )  # fmt: skip
    @answered
    def post(self, request: Request, waiver_id: str) -> Response:
        proof = passed(request, find(request, waiver_id).request_id)
        return Response(StepUpGiven(proof).data, status=status.HTTP_201_CREATED)


class WaiverVotes(_OfTenant):
    """Vote on the waiver's request. The answer is the waiver as it then stands."""

    permission_classes = [access.CanVote]

    @extend_schema(
        request=VoteAsked,
        responses={
            201: WaiverWhole, (401, _PROBLEM): _CODE_REFUSED, (403, _PROBLEM): _NOT_ELIGIBLE,
            (404, _PROBLEM): _ABSENT, (409, _PROBLEM): _MOVED_ON, (429, _PROBLEM): _TOO_FAST,
        },
    )  # fmt: skip
    @answered
    def post(self, request: Request, waiver_id: str) -> Response:
        voted(request, find(request, waiver_id).request_id)
        return Response(WaiverWhole(find(request, waiver_id)).data, status=status.HTTP_201_CREATED)


class RevokeWaiver(_OfTenant):
    """End it with the next decision. One person suffices."""

    @extend_schema(
        request=RevokeAsked,
        responses={
            200: WaiverWhole, (403, _PROBLEM): _NOT_YOURS, (404, _PROBLEM): _ABSENT, (409, _PROBLEM): _MOVED_ON,
        },
    )  # fmt: skip
    @answered
    def post(self, request: Request, waiver_id: str) -> Response:
        asked = RevokeAsked(data=request.data)
        asked.is_valid(raise_exception=True)
        member = access.membership_for(request)
        ending.revoke(
            waiver_id, tenant_id=member.tenant_id, by=member, why=asked.validated_data["reason"], now=clock.now()
        )
        return Response(WaiverWhole(find(request, waiver_id)).data)


class AttestControl(_OfTenant):
    """The person named confirms a control, until the date that was granted. Saying it again changes nothing."""

    @extend_schema(
        request=None,
        responses={
            200: WaiverWhole, (403, _PROBLEM): _NOT_YOURS, (404, _PROBLEM): _ABSENT, (409, _PROBLEM): _MOVED_ON,
        },
    )  # fmt: skip
    @answered
    def post(self, request: Request, waiver_id: str, place: int) -> Response:
        member = access.membership_for(request)
        controls.attest(waiver_id, place, tenant_id=member.tenant_id, by=member, now=clock.now())
        return Response(WaiverWhole(find(request, waiver_id)).data)


class WithdrawControl(_OfTenant):
    """Whoever confirmed a control does not any more: the waiver suspends itself."""

    @extend_schema(
        request=None,
        responses={
            200: WaiverWhole, (403, _PROBLEM): _NOT_YOURS, (404, _PROBLEM): _ABSENT, (409, _PROBLEM): _MOVED_ON,
        },
    )  # fmt: skip
    @answered
    def post(self, request: Request, waiver_id: str, place: int) -> Response:
        member = access.membership_for(request)
        controls.take_back(waiver_id, place, tenant_id=member.tenant_id, by=member, now=clock.now())
        return Response(WaiverWhole(find(request, waiver_id)).data)


class PackWaiver(_OfTenant):
    """Its whole life as an evidence pack, which verifies without this server. That it was made is a record too."""

    permission_classes = [access.IsAuditor | access.IsAdmin]

    @extend_schema(
        request=PackAsked,
        responses={
            (200, "application/gzip"): OpenApiTypes.BINARY, (404, _PROBLEM): _ABSENT, (409, _PROBLEM): _TOO_MUCH,
        },
    )  # fmt: skip
    @answered
    def post(self, request: Request, waiver_id: str) -> HttpResponse:
        asked = PackAsked(data=request.data)
        asked.is_valid(raise_exception=True)
        member, waiver = access.membership_for(request), find(request, waiver_id)
        with TemporaryDirectory() as directory:
            out = Path(directory) / f"{waiver.pk}.tar.gz"
            exporting.pack(
                waiver, out, actor=Actor("person", member.user.username), arguments=asked.validated_data["arguments"]
            )
            answer = HttpResponse(out.read_bytes(), content_type="application/gzip")
        answer["Content-Disposition"] = f'attachment; filename="{waiver.pk}.tar.gz"'
        return answer


class ShortenWaiver(_OfTenant):
    """Let it end earlier. Later is a renewal: another waiver, granted anew."""

    @extend_schema(
        request=ShortenAsked,
        responses={
            200: WaiverWhole, (403, _PROBLEM): _NOT_YOURS, (404, _PROBLEM): _ABSENT, (409, _PROBLEM): _MOVED_ON,
        },
    )  # fmt: skip
    @answered
    def post(self, request: Request, waiver_id: str) -> Response:
        asked = ShortenAsked(data=request.data)
        asked.is_valid(raise_exception=True)
        member = access.membership_for(request)
        ending.shorten(
            waiver_id,
            tenant_id=member.tenant_id,
            by=member,
            expires_at=asked.validated_data["expires_at"],
            why=asked.validated_data["reason"],
            now=clock.now(),
        )
        return Response(WaiverWhole(find(request, waiver_id)).data)


def find(request: Request, waiver_id: str) -> Waiver:
    """The caller's tenant's. Raises UnknownWaiver."""
    found = register.listed(access.tenant_for(request)).filter(pk=waiver_id).first()
    if found is None:
        raise UnknownWaiver(waiver_id)
    return found


def _preview(drafted: Drafted, member: Membership, *, now: datetime) -> dict[str, Any]:
    scope = drafted.scope
    teams = [team for one in scope.requirements for team in one.teams]
    seen = None
    if register.may_see_calls(member, teams):
        seen = CoveredShown(register.covered(member.tenant, drafted.terms, since=now - MONTH)).data
    return {
        "pins": scope.written,
        "risk_tier": int(scope.risk_tier),
        "not_before": scope.not_before,
        "expires_at": drafted.terms.expires_at,
        "requirements": [
            {**row, "approvals": 0, "met": False} for row in requirements.to_json(scope.requirements)
        ],
        "covered": seen,
    }  # fmt: skip
