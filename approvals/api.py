"""The people's API for requests: read, confirm with a code, vote. The same domain calls as the pages."""

from typing import Any

import django_filters
from django.db.models import Exists, OuterRef, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.authentication import SessionAuthentication
from rest_framework.generics import GenericAPIView, ListAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import counting, requirements, shown, stepup, story, votes
from approvals.models import AccessRequest, Decision, Status, StepUpProof, Vote
from approvals.problems import answered
from countersign.policy.values import StepUp
from evidence import clock
from registry import access

SURFACE = "api"
STEP_UPS = [(one.value, one.name) for one in StepUp]

_PROBLEM = "application/problem+json"
_CODE_REFUSED = OpenApiResponse(OpenApiTypes.OBJECT, description="A fresh code is needed, or this one did not pass.")
_NOT_ELIGIBLE = OpenApiResponse(OpenApiTypes.OBJECT, description="Not in a team that is asked, or on the asking side.")
_ABSENT = OpenApiResponse(OpenApiTypes.OBJECT, description="No such request in this tenant.")
_MOVED_ON = OpenApiResponse(OpenApiTypes.OBJECT, description="Not what is shown now, not pending, or voted already.")
_TOO_FAST = OpenApiResponse(OpenApiTypes.OBJECT, description="Approved faster than read; `Retry-After` says how long.")
_LOCKED = OpenApiResponse(OpenApiTypes.OBJECT, description="Too many wrong codes; `Retry-After` says how long.")


class VoteShown(serializers.Serializer[Any]):
    """One vote as others see it."""

    person = serializers.CharField(source="membership.user.username")
    decision = serializers.ChoiceField(choices=Decision.choices)
    reason = serializers.CharField()
    assurance = serializers.ChoiceField(choices=STEP_UPS)
    surface = serializers.CharField()
    cast_at = serializers.DateTimeField()


class LineShown(serializers.Serializer[Any]):
    """One line an approver is shown."""

    label = serializers.CharField()  # type: ignore[assignment]  # Field has one too, which nested ones never read
    value = serializers.CharField()
    kind = serializers.CharField()
    flags = serializers.ListField(child=serializers.CharField())


class DisplayShown(serializers.Serializer[Any]):
    """What an approver is shown, whole, and the hash a vote must carry as `seen`."""

    lines = LineShown(many=True)
    hash = serializers.CharField()


class RequirementShown(serializers.Serializer[Any]):
    """Who must agree, and how far that has come. Durations are in seconds."""

    source = serializers.CharField()  # type: ignore[assignment]  # as above
    teams = serializers.ListField(child=serializers.CharField())
    quorum = serializers.IntegerField()
    step_up = serializers.ChoiceField(choices=STEP_UPS)
    expires_in = serializers.IntegerField()
    approved_for = serializers.IntegerField()
    uses = serializers.IntegerField()
    approvals = serializers.IntegerField()
    met = serializers.BooleanField()


class MomentShown(serializers.Serializer[Any]):
    """One line of the timeline, told from the evidence."""

    at = serializers.DateTimeField()
    text = serializers.CharField()


class AfterShown(serializers.Serializer[Any]):
    """What became of the approval; `until` is there while it may still be used, `used_at` once it was."""

    name = serializers.CharField()
    words = serializers.CharField()
    at = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)
    used_at = serializers.DateTimeField(allow_null=True)


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
    after = serializers.SerializerMethodField()

    class Meta(RequestRow.Meta):
        fields = [
            *RequestRow.Meta.fields, "action_digest", "arguments_digest", "reasons", "display", "requirements", "votes",
            "timeline", "after",
        ]  # fmt: skip

    def to_representation(self, instance: AccessRequest) -> dict[str, Any]:
        self._story = story.story(instance, now=clock.now())
        return super().to_representation(instance)

    @extend_schema_field(DisplayShown)
    def get_display(self, asked: AccessRequest) -> dict[str, Any]:
        return {"lines": shown.lines_of(asked), "hash": asked.display_hash}

    @extend_schema_field(RequirementShown(many=True))
    def get_requirements(self, asked: AccessRequest) -> list[dict[str, Any]]:
        return requirements_of(asked)

    @extend_schema_field(VoteShown(many=True))
    def get_votes(self, asked: AccessRequest) -> Any:
        return VoteShown(counting.votes_of(asked), many=True).data

    @extend_schema_field(MomentShown(many=True))
    def get_timeline(self, _asked: AccessRequest) -> Any:
        return MomentShown(self._story.timeline, many=True).data

    @extend_schema_field(AfterShown(allow_null=True))
    def get_after(self, _asked: AccessRequest) -> Any:
        return AfterShown(self._story.after).data if self._story.after else None


def requirements_of(asked: AccessRequest) -> list[dict[str, Any]]:
    """As `RequirementShown` has them."""
    tally = counting.count(asked, requirements.from_json(asked.requirements), counting.votes_of(asked))
    return [
        {**row, "approvals": len(share.approvers), "met": share.met}
        for row, share in zip(asked.requirements, tally.shares, strict=True)
    ]


class StepUpAsked(serializers.Serializer[Any]):
    """A fresh code, for one decision on what was seen."""

    method = serializers.ChoiceField(choices=[one.value for one in stepup.Method])
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


def passed(request: Request, request_id: str) -> StepUpProof:
    """A step-up on that request, as the body asks for it. Raises what `answered` answers."""
    asked = StepUpAsked(data=request.data)
    asked.is_valid(raise_exception=True)
    membership = access.membership_for(request)
    return stepup.pass_totp(
        request_id,
        tenant_id=membership.tenant_id,
        membership=membership,
        method=stepup.Method(asked.validated_data["method"]),
        decision=Decision(asked.validated_data["decision"]),
        seen=asked.validated_data["seen"],
        code=asked.validated_data["code"],
        surface=SURFACE,
        now=clock.now(),
    )


def voted(request: Request, request_id: str) -> AccessRequest:
    """That request after the vote in the body. Raises what `answered` answers."""
    asked = VoteAsked(data=request.data)
    asked.is_valid(raise_exception=True)
    membership = access.membership_for(request)
    return votes.cast(
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


class RequestFilters(django_filters.FilterSet):  # type: ignore[misc]  # untyped, as above
    """`mine` narrows to what the caller has voted on (true) or has not (false)."""

    status = django_filters.ChoiceFilter(choices=Status.choices)
    agent = django_filters.CharFilter(field_name="agent_id")
    tool = django_filters.CharFilter(field_name="tool_id")
    session = django_filters.CharFilter()
    transaction = django_filters.CharFilter()
    mine = django_filters.BooleanFilter(method="voted_by_caller")

    def voted_by_caller(self, requests: QuerySet[AccessRequest], _name: str, value: bool) -> QuerySet[AccessRequest]:  # noqa: FBT001  the library's signature
        human = access.membership_for(self.request).user.human_id
        voted = Exists(Vote.objects.filter(request=OuterRef("pk"), human_id=human))
        return requests.filter(voted) if value else requests.exclude(voted)


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
    filterset_class = RequestFilters


class OneRequest(_OfTenant):
    """One request, whole."""

    filter_backends = ()

    @extend_schema(responses={200: RequestWhole, (404, _PROBLEM): _ABSENT})
    def get(self, request: Request, request_id: str) -> Response:  # noqa: ARG002  the framework passes it
        return Response(RequestWhole(get_object_or_404(self.get_queryset(), pk=request_id)).data)


class StepUps(_OfTenant):
    """Pass a step-up, bound to one decision on one display."""

    permission_classes = [access.CanVote]
    serializer_class = StepUpAsked

    @extend_schema(
        responses={
            201: StepUpGiven, (401, _PROBLEM): _CODE_REFUSED, (404, _PROBLEM): _ABSENT, (409, _PROBLEM): _MOVED_ON,
            (429, _PROBLEM): _LOCKED,
        }
    )  # fmt: skip
    @answered
    def post(self, request: Request, request_id: str) -> Response:
        return Response(StepUpGiven(passed(request, request_id)).data, status=status.HTTP_201_CREATED)


class Votes(_OfTenant):
    """Vote. The answer is the request as it then stands."""

    permission_classes = [access.CanVote]
    serializer_class = VoteAsked

    @extend_schema(
        responses={
            201: RequestWhole, (401, _PROBLEM): _CODE_REFUSED, (403, _PROBLEM): _NOT_ELIGIBLE,
            (404, _PROBLEM): _ABSENT, (409, _PROBLEM): _MOVED_ON, (429, _PROBLEM): _TOO_FAST,
        }
    )  # fmt: skip
    @answered
    def post(self, request: Request, request_id: str) -> Response:
        return Response(RequestWhole(voted(request, request_id)).data, status=status.HTTP_201_CREATED)
