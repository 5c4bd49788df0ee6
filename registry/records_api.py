"""An auditor's questions in; records, signed heads and proofs of the caller's own tenant out. Read only."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from countersign.proof import canonical
from countersign.proof.events import Event
from evidence import packs, proofs
from evidence.models import Record, Sealed
from registry.access import IsAdmin, IsAuditor, PersonKey, tenant_for

_TEXT = "text/plain; charset=utf-8"
_SIZE = 2**63 - 1


class Filters(serializers.Serializer[dict[str, Any]]):
    """What a page of records is narrowed to; `before` is the `next` of the page before."""

    event = serializers.ChoiceField(choices=[event.value for event in Event], required=False)
    thread = serializers.CharField(max_length=200, required=False)
    transaction = serializers.CharField(max_length=200, required=False)
    session = serializers.CharField(max_length=200, required=False)
    request = serializers.CharField(max_length=40, required=False)
    before = serializers.IntegerField(min_value=0, max_value=_SIZE, required=False)
    limit = serializers.IntegerField(min_value=1, max_value=200, default=50)


class InclusionQuery(serializers.Serializer[dict[str, Any]]):
    """Which record, below the checkpoint of which size (the newest if none is named)."""

    event_id = serializers.CharField(max_length=40)
    size = serializers.IntegerField(min_value=0, max_value=_SIZE, required=False)


class ConsistencyQuery(serializers.Serializer[dict[str, Any]]):
    """From the checkpoint of which size to that of which (the newest if none is named)."""

    to = serializers.IntegerField(min_value=0, max_value=_SIZE, required=False)

    def get_fields(self) -> dict[str, Any]:
        """`from` is no name that Python lets a class have."""
        return {"from": serializers.IntegerField(min_value=0, max_value=_SIZE), **super().get_fields()}


class EvidenceView(APIView):
    """For people with the role auditor or admin, by session or by their own key."""

    authentication_classes = (PersonKey, SessionAuthentication)
    permission_classes = (IsAuditor | IsAdmin,)

    def log(self, request: Request) -> str:
        """The log of the caller's tenant: no other can be named."""
        return tenant_for(request).slug

    def asked(self, query: type[serializers.Serializer[dict[str, Any]]], request: Request) -> dict[str, Any]:
        """The query parameters, checked; 400 naming each that is wrong."""
        found = query(data=request.query_params)
        found.is_valid(raise_exception=True)
        return dict(found.validated_data)


class RecordsView(EvidenceView):
    """`GET /api/v1/records`: sealed records, newest first."""

    @extend_schema(operation_id="v1_records_list", parameters=[Filters], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """One page; `next` is the `before` of the following one, or null."""
        asked = self.asked(Filters, request)
        limit = asked.pop("limit")
        rows = Sealed.objects.filter(log=self.log(request)).order_by("-seq").select_related("record")
        if (before := asked.pop("before", None)) is not None:
            rows = rows.filter(seq__lt=before)
        found = list(rows.filter(**{f"record__{name}": value for name, value in asked.items()})[: limit + 1])
        page = found[:limit]
        return Response(
            {"records": [_shown(row.record, row) for row in page], "next": page[-1].seq if len(found) > limit else None}
        )


class RecordView(EvidenceView):
    """`GET /api/v1/records/{event_id}`: one record, sealed or still waiting."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, event_id: str) -> Response:
        """The statement, and once it is sealed its place and DSSE envelope."""
        record = Record.objects.filter(log=self.log(request), event_id=event_id).first()
        if record is None:
            raise NotFound
        return Response(_shown(record, Sealed.objects.select_related("record").filter(record=record).first()))


class CheckpointView(EvidenceView):
    """`GET /api/v1/checkpoints/latest` and `/api/v1/checkpoints/{size}`: a signed tree head, as C2SP writes it."""

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR})
    def get(self, request: Request, size: int | None = None) -> HttpResponse:
        """The note."""
        try:
            return HttpResponse(proofs.checkpoint(self.log(request), size).note, content_type=_TEXT)
        except proofs.NotThere as error:
            raise NotFound(str(error)) from error


class InclusionView(EvidenceView):
    """`GET /api/v1/proofs/inclusion`: that a record stands below a checkpoint."""

    @extend_schema(parameters=[InclusionQuery], responses={(200, "text/plain"): OpenApiTypes.STR})
    def get(self, request: Request) -> HttpResponse:
        """A C2SP `.tlog-proof`."""
        asked = self.asked(InclusionQuery, request)
        try:
            proof = proofs.inclusion(self.log(request), asked["event_id"], asked.get("size"))
        except proofs.NotThere as error:
            raise NotFound(str(error)) from error
        return HttpResponse(proof, content_type=_TEXT)


class ConsistencyView(EvidenceView):
    """`GET /api/v1/proofs/consistency`: that an older tree is the beginning of a newer one."""

    @extend_schema(
        parameters=[OpenApiParameter("from", int, required=True), OpenApiParameter("to", int)],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request) -> Response:
        """Both heads and the RFC 6962 path between them."""
        asked = self.asked(ConsistencyQuery, request)
        try:
            return Response(proofs.consistency(self.log(request), asked["from"], asked.get("to")))
        except proofs.NotThere as error:
            raise NotFound(str(error)) from error


def _shown(record: Record, sealed: Sealed | None) -> dict[str, Any]:
    """As an auditor reads it; `envelope` is what `records.jsonl` of a pack holds."""
    return {
        "event_id": record.event_id,
        "event": record.event,
        "thread": record.thread,
        "n": record.n,
        "recorded_at": record.recorded_at,
        "statement": canonical.loads(bytes(record.body)),
        "seq": sealed.seq if sealed else None,
        "envelope": packs.envelope(sealed) if sealed else None,
    }
