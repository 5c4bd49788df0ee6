"""The people's API for executions whose end nobody knows: list, look, reconcile. The same domain calls as the pages."""

from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals.views.chrome import READ_EXECUTIONS
from enforcement import custody, reconciling
from enforcement.custody import Row
from enforcement.models import Custody, Finding
from enforcement.refused import answered
from evidence import clock
from registry import access

_PROBLEM = "application/problem+json"
_ABSENT = OpenApiResponse(OpenApiTypes.OBJECT, description="No such execution in this tenant.")
_NOT_YOURS = OpenApiResponse(
    OpenApiTypes.OBJECT, description="Not an operator or administrator, or on the asking side."
)
_MOVED_ON = OpenApiResponse(OpenApiTypes.OBJECT, description="Its end is known already, or still to come.")
_MOST_PAGES: Final = 99_999


class Reads(access.IsMember):
    """Members who answer for what runs. A key needs the scope `vote` to reconcile."""

    message = "Only members with the role operator, admin or auditor read executions, and a key writes with its scope."

    def has_permission(self, request: Request, view: object) -> bool:
        if not super().has_permission(request, view):
            return False
        return bool(READ_EXECUTIONS & set(access.membership_for(request).roles))


class Wanted(serializers.Serializer[Any]):
    """Which page."""

    page = serializers.IntegerField(min_value=1, max_value=_MOST_PAGES, default=1)


class Found(serializers.Serializer[Any]):
    """What a person found out."""

    by = serializers.CharField(source="by.user.username")
    outcome = serializers.ChoiceField(choices=[(one.value, one.label) for one in reconciling.OUTCOMES])
    reason = serializers.CharField()
    evidence = serializers.CharField()
    made_at = serializers.DateTimeField()


class FindingShown(serializers.Serializer[Any]):
    """What a verifier saw."""

    verifier = serializers.CharField(source="credential.key_id")
    finding = serializers.ChoiceField(choices=Finding.choices)
    made_at = serializers.DateTimeField()


class ExecutionRow(serializers.Serializer[Any]):
    """One execution in a list. `blocks`: the same call is denied until it is reconciled."""

    evaluation_id = serializers.CharField(source="execution.pk")
    status = serializers.ChoiceField(choices=Custody.choices)
    caller = serializers.CharField()
    resource = serializers.CharField()
    method = serializers.CharField(source="action.method")
    transaction = serializers.CharField()
    request = serializers.CharField(source="execution.request_id")
    blocks = serializers.BooleanField()
    reserved_at = serializers.DateTimeField(source="execution.reserved_at")
    started_at = serializers.DateTimeField(source="execution.started_at", allow_null=True)
    finished_at = serializers.DateTimeField(source="execution.finished_at", allow_null=True)


class ExecutionWhole(ExecutionRow):
    """One execution with what was told of it."""

    result_digest = serializers.SerializerMethodField()
    findings = serializers.SerializerMethodField()
    reconciliation = serializers.SerializerMethodField()

    def get_result_digest(self, row: Row) -> str | None:
        digest: str | None = row.execution.report.get("result_digest")
        return digest

    def get_findings(self, row: Row) -> list[dict[str, Any]]:
        return [dict(FindingShown(one).data) for one in custody.findings(row)]

    def get_reconciliation(self, row: Row) -> dict[str, Any] | None:
        found = getattr(row.execution, "reconciliation", None)
        return None if found is None else dict(Found(found).data)


class ExecutionPage(serializers.Serializer[Any]):
    """Those that wait for a person, the longest wait first; `next` is the page after, if there is one."""

    results = ExecutionRow(many=True)
    next = serializers.IntegerField(allow_null=True)


class ReconcileAsked(serializers.Serializer[Any]):
    """Whether it took effect, why one is sure, and where others can look it up."""

    outcome = serializers.ChoiceField(choices=[(one.value, one.label) for one in reconciling.OUTCOMES])
    reason = serializers.CharField(max_length=reconciling.MAX_WORDS)
    evidence = serializers.CharField(max_length=reconciling.MAX_WORDS)


class _OfTenant(APIView):
    authentication_classes = (access.PersonKey, SessionAuthentication)
    permission_classes = (Reads,)


class Executions(_OfTenant):
    """What waits for a person to say how it ended."""

    @extend_schema(operation_id="v1_executions_list", parameters=[Wanted], responses=ExecutionPage)
    def get(self, request: Request) -> Response:
        wanted = Wanted(data=request.query_params)
        wanted.is_valid(raise_exception=True)
        number = wanted.validated_data["page"]
        found = custody.waiting(access.tenant_for(request), page=number)
        following = number + 1 if len(found) > custody.PAGE else None
        return Response(ExecutionPage({"results": found[: custody.PAGE], "next": following}).data)


class OneExecution(_OfTenant):
    """One execution, whole."""

    @extend_schema(responses={200: ExecutionWhole, (404, _PROBLEM): _ABSENT})
    @answered
    def get(self, request: Request, evaluation_id: str) -> Response:
        return Response(ExecutionWhole(custody.one(evaluation_id, access.tenant_for(request))).data)


class Reconcile(_OfTenant):
    """Say, once, whether a call took effect."""

    @extend_schema(
        request=ReconcileAsked,
        responses={
            200: ExecutionWhole, (403, _PROBLEM): _NOT_YOURS, (404, _PROBLEM): _ABSENT, (409, _PROBLEM): _MOVED_ON,
        },
    )  # fmt: skip
    @answered
    def post(self, request: Request, evaluation_id: str) -> Response:
        asked = ReconcileAsked(data=request.data)
        asked.is_valid(raise_exception=True)
        member, said = access.membership_for(request), asked.validated_data
        reconciling.reconcile(
            evaluation_id, by=member, outcome=Custody(said["outcome"]), reason=said["reason"],
            evidence=said["evidence"], now=clock.now(),
        )  # fmt: skip
        return Response(ExecutionWhole(custody.one(evaluation_id, member.tenant)).data)
