"""A waiver's row in, what the people's API tells of it out."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from approvals import counting, shown, story
from approvals.api import DisplayShown, MomentShown, RequestRow, RequirementShown, VoteShown, requirements_of
from approvals.models import Control, Waiver
from approvals.waivers import holding, register
from approvals.waivers.models import ControlKind
from countersign.policy.waivers import Category
from evidence import clock


class WaiverRow(serializers.ModelSerializer[Waiver]):
    """A waiver in a list. `rules`, `agents` and `tools` are those it is pinned to."""

    category = serializers.ChoiceField(choices=[(one.value, one.name) for one in Category])
    owner = serializers.CharField(source="owner.user.username")
    asked_by = serializers.CharField(source="asked_by.user.username")
    reason = serializers.CharField(source="terms.terms.reason")
    ticket = serializers.SerializerMethodField()
    rules = serializers.SerializerMethodField()
    agents = serializers.ListField(child=serializers.CharField(), source="terms.pinned.agents")
    tools = serializers.SerializerMethodField()
    renews = serializers.CharField(source="renews_id", allow_null=True)

    class Meta:
        model = Waiver
        fields = [
            "id", "version", "state", "category", "rules", "agents", "tools", "reason", "owner", "asked_by", "ticket",
            "asked_at", "granted_at", "not_before", "expires_at", "ended_at", "uses", "max_uses", "renews", "renewal",
        ]  # fmt: skip

    def get_ticket(self, waiver: Waiver) -> str:
        return str(waiver.terms["terms"].get("ticket", ""))

    def get_rules(self, waiver: Waiver) -> list[str]:
        return list(waiver.terms["pinned"]["rules"])

    def get_tools(self, waiver: Waiver) -> list[str]:
        return list(waiver.terms["pinned"]["tools"])


class ControlShown(serializers.Serializer[Any]):
    """One compensating control. `said` is what the terms say of it; `lacks` why it does not hold, empty if it does."""

    place = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=ControlKind.choices)
    said = serializers.DictField()
    person = serializers.CharField(source="person.user.username", allow_null=True, default=None)
    holds = serializers.SerializerMethodField()
    lacks = serializers.SerializerMethodField()
    good_until = serializers.DateTimeField(allow_null=True)
    looked_at = serializers.DateTimeField(allow_null=True)
    found = serializers.CharField()

    def get_holds(self, control: Control) -> bool:
        return not self.get_lacks(control)

    def get_lacks(self, control: Control) -> str:
        return holding.lack_of(control, now=clock.now())


class DayShown(serializers.Serializer[Any]):
    """How many uses a UTC day saw."""

    day = serializers.DateField()
    uses = serializers.IntegerField()


class FlagShown(serializers.Serializer[Any]):
    """Something its owner should think about."""

    name = serializers.ChoiceField(choices=[(one.value, one.value) for one in register.Name])
    words = serializers.CharField()


class RequestOfWaiver(RequestRow):
    """The request by which people grant it."""

    class Meta(RequestRow.Meta):
        fields = ["id", "status", "risk_tier", "opened_at", "expires_at", "closed_at"]


class WaiverWhole(WaiverRow):
    """One waiver with all that people decide on, and what became of it. `terms` are as they were written."""

    terms = serializers.DictField(source="terms.terms")
    pins = serializers.DictField(source="terms.pinned")
    controls = serializers.SerializerMethodField()
    request = RequestOfWaiver()
    display = serializers.SerializerMethodField()
    requirements = serializers.SerializerMethodField()
    votes = serializers.SerializerMethodField()
    timeline = serializers.SerializerMethodField()
    flags = serializers.SerializerMethodField()
    uses_by_day = serializers.SerializerMethodField()

    class Meta(WaiverRow.Meta):
        fields = [
            *WaiverRow.Meta.fields, "ended_by", "ended_why", "terms", "pins", "controls", "request", "display",
            "requirements", "votes", "timeline", "flags", "uses_by_day",
        ]  # fmt: skip

    @extend_schema_field(ControlShown(many=True))
    def get_controls(self, waiver: Waiver) -> Any:
        return ControlShown(holding.controls_of(waiver), many=True).data

    @extend_schema_field(DisplayShown)
    def get_display(self, waiver: Waiver) -> dict[str, Any]:
        return {"lines": shown.lines_of(waiver.request), "hash": waiver.request.display_hash}

    @extend_schema_field(RequirementShown(many=True))
    def get_requirements(self, waiver: Waiver) -> list[dict[str, Any]]:
        return requirements_of(waiver.request)

    @extend_schema_field(VoteShown(many=True))
    def get_votes(self, waiver: Waiver) -> Any:
        return VoteShown(counting.votes_of(waiver.request), many=True).data

    @extend_schema_field(MomentShown(many=True))
    def get_timeline(self, waiver: Waiver) -> Any:
        return MomentShown(story.story(waiver.request, now=clock.now()).timeline, many=True).data

    @extend_schema_field(FlagShown(many=True))
    def get_flags(self, waiver: Waiver) -> Any:
        return FlagShown(register.flags(waiver, now=clock.now()), many=True).data

    @extend_schema_field(DayShown(many=True))
    def get_uses_by_day(self, waiver: Waiver) -> Any:
        return DayShown(register.uses_by_day(waiver), many=True).data


class DraftShown(serializers.Serializer[Any]):
    """What a blueprint proposes; `asked` is the newest waiver with exactly these terms, if there is one."""

    id = serializers.CharField()
    terms = serializers.DictField()
    asked = serializers.CharField(source="asked.pk", allow_null=True, default=None)


class SampleShown(serializers.Serializer[Any]):
    """One call that would have been covered. Secrets are taken out of `arguments`; null: they are not kept."""

    evaluation_id = serializers.CharField()
    at = serializers.DateTimeField()
    agent = serializers.CharField()
    tool = serializers.CharField()
    method = serializers.CharField()
    arguments = serializers.ListField(child=serializers.DictField(), allow_null=True)


class CoveredShown(serializers.Serializer[Any]):
    """`number` calls of the last 30 days, and `unjudged` more of which too little is kept. `looked_at` of the `there`
    records since then were read: if those are not all (`whole`), the numbers are those of a sample with equal steps.
    """

    number = serializers.IntegerField()
    samples = SampleShown(many=True)
    unjudged = serializers.IntegerField()
    since = serializers.DateTimeField()
    there = serializers.IntegerField()
    looked_at = serializers.IntegerField()
    whole = serializers.BooleanField(source="is_whole")


class Preview(serializers.Serializer[Any]):
    """What would be asked: pinned to this, granted by these. `covered` is null for those who may not see the calls."""

    pins = serializers.DictField()
    risk_tier = serializers.IntegerField()
    not_before = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    requirements = RequirementShown(many=True)
    covered = CoveredShown(allow_null=True)
