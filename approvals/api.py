"""The people's API for requests: read, confirm with a code, vote. The same domain calls as the pages."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.authentication import SessionAuthentication
from rest_framework.generics import GenericAPIView, ListAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import counting, requirements, stepup, story, votes
from approvals.models import AccessRequest, Decision
from approvals.problems import answered
from evidence import clock
from registry import access

SURFACE = "api"


class VoteShown(serializers.Serializer[Any]):
    """One vote as others see it."""

    person = serializers.CharField(source="membership.user.username")
    decision = serializers.ChoiceField(choices=Decision.choices)
    reason = serializers.CharField()
    assurance = serializers.CharField()
    surface = serializers.CharField()
    cast_at = serializers.DateTimeField()


class RequestRow(serializers.ModelSerializer[AccessRequest]):
    """A request in a list."""

    tool = serializers.CharField(source="tool_id")
    agent = serializers.CharField(source="agent_id")

    class Meta:
        model = AccessRequest
        fields = [
            "id", "status", "agent", "tool", "method", "risk_tier", "risk_score", "session", "transaction",
            "evaluation_id", "opened_at", "expires_at", "closed_at",
        ]  # fmt: skip


class RequestWhole(RequestRow):
    """One request with all that an approver needs to decide, and what was decided."""

    display = serializers.SerializerMethodField()
    requirements = serializers.SerializerMethodField()
    votes = serializers.SerializerMethodField()
    timeline = serializers.SerializerMethodField()

    class Meta(RequestRow.Meta):
        fields = [
            *RequestRow.Meta.fields, "action_digest", "arguments_digest", "reasons", "display", "requirements", "votes",
            "timeline",
        ]  # fmt: skip

    def get_display(self, asked: AccessRequest) -> dict[str, Any]:
        return {"lines": asked.display, "hash": asked.display_hash}

    def get_requirements(self, asked: AccessRequest) -> list[dict[str, Any]]:
        tally = counting.count(asked, requirements.from_json(asked.requirements), counting.votes_of(asked))
        return [
            {**row, "approvals": len(share.approvers), "met": share.met}
            for row, share in zip(asked.requirements, tally.shares, strict=True)
        ]

    def get_votes(self, asked: AccessRequest) -> list[dict[str, Any]]:
        return list(VoteShown(counting.votes_of(asked), many=True).data)

    def get_timeline(self, asked: AccessRequest) -> list[dict[str, str]]:
        return [{"at": moment.at.isoformat(), "text": moment.text} for moment in story.timeline(asked)]


class StepUpAsked(serializers.Serializer[Any]):
    """A fresh code, for one decision on what was seen."""

    method = serializers.ChoiceField(choices=[(one.value, one.value) for one in stepup.Method])
    code = serializers.CharField(max_length=64)
    decision = serializers.ChoiceField(choices=Decision.choices)
    seen = serializers.CharField(max_length=71)


class StepUpGiven(serializers.Serializer[Any]):
    """Good for that one vote until `expires_at`."""

    step_up = serializers.CharField(source="id")
    expires_at = serializers.DateTimeField()


class VoteAsked(serializers.Serializer[Any]):
    """A decision, and the display hash of what it was taken on."""

    decision = serializers.ChoiceField(choices=Decision.choices)
    reason = serializers.CharField(max_length=2000, allow_blank=True, default="")
    seen = serializers.CharField(max_length=71)
    step_up = serializers.CharField(max_length=40, allow_null=True, default=None)


class _OfTenant(GenericAPIView[AccessRequest]):
    """Requests of the caller's tenant; any other is as absent as one that never was."""

    authentication_classes = [access.PersonKey, SessionAuthentication]
    permission_classes = [access.IsMember]
    serializer_class: type[serializers.BaseSerializer[Any]] = RequestWhole

    def get_queryset(self) -> QuerySet[AccessRequest]:
        if getattr(self, "swagger_fake_view", False):
            return AccessRequest.objects.none()
        tenant = access.tenant_for(self.request)
        return AccessRequest.objects.filter(tenant=tenant).select_related("tenant").order_by("-opened_at", "-id")


class Requests(_OfTenant, ListAPIView[AccessRequest]):
    """Newest first."""

    serializer_class = RequestRow
    filterset_fields = ["status", "agent_id", "tool_id", "session", "transaction"]


class OneRequest(_OfTenant):
    """One request, whole."""

    def get(self, request: Request, request_id: str) -> Response:  # noqa: ARG002  the framework passes it
        return Response(RequestWhole(get_object_or_404(self.get_queryset(), pk=request_id)).data)


class StepUps(_OfTenant):
    """Pass a step-up, bound to one decision on one display."""

    permission_classes = [access.CanVote]
    serializer_class = StepUpAsked

    @extend_schema(responses={201: StepUpGiven})
    @answered
    def post(self, request: Request, request_id: str) -> Response:
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        membership = access.membership_for(request)
        proof = stepup.pass_totp(
            request_id,
            tenant_id=membership.tenant_id,
            membership=membership,
            method=stepup.Method(asked.validated_data["method"]),
            decision=Decision(asked.validated_data["decision"]),
            seen=asked.validated_data["seen"],
            code=asked.validated_data["code"],
            now=clock.now(),
        )
        return Response(StepUpGiven(proof).data, status=status.HTTP_201_CREATED)


class Votes(_OfTenant):
    """Vote. The answer is the request as it then stands."""

    permission_classes = [access.CanVote]
    serializer_class = VoteAsked

    @extend_schema(responses={201: RequestWhole, 409: OpenApiResponse(description="Not as shown, or not pending.")})
    @answered
    def post(self, request: Request, request_id: str) -> Response:
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        membership = access.membership_for(request)
        voted = votes.cast(
            request_id,
            tenant_id=membership.tenant_id,
            membership=membership,
            decision=Decision(asked.validated_data["decision"]),
            reason=asked.validated_data["reason"],
            seen=asked.validated_data["seen"],
            step_up=asked.validated_data["step_up"],
            surface=SURFACE,
            now=clock.now(),
        )
        return Response(RequestWhole(voted).data, status=status.HTTP_201_CREATED)
