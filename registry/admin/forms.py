"""What administrators type in, the same checked values as a blueprint's out."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from countersign.policy import tools
from countersign.policy.faults import InvalidError
from countersign.policy.values import Tier
from countersign.proof import canonical
from registry import credentials, people
from registry.admin.base import TenantForm
from registry.models import Agent, CredentialKind, Entity, Membership, Role, Team, Tool


class Lines(forms.CharField):
    """A list of words, one a line."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("widget", UnfoldAdminTextareaWidget(attrs={"rows": 4}))
        kwargs.setdefault("help_text", "One a line.")
        super().__init__(**{"required": False, **kwargs})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [line.strip() for line in (value or "").splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(self.prepare_value(initial)) != self.to_python(data))


class Json(forms.JSONField):
    """JSON in the shape a blueprint has under `key`, laid out for reading."""

    def __init__(self, key: str, members: str, *, empty: Any) -> None:
        self.empty = empty
        look = {"rows": 8, "style": "font-family: var(--font-mono)", "spellcheck": "false"}
        widget = UnfoldAdminTextareaWidget(attrs=look)
        told = f"JSON, the shape of `{key}` in a blueprint: {members}"
        super().__init__(required=False, widget=widget, help_text=told)

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)

    def clean(self, value: Any) -> Any:
        read = super().clean(value)
        try:
            canonical.dumps({"value": read})
        except canonical.NotCanonical as error:
            raise ValidationError(f"This cannot be kept exactly: {error}") from None
        return self.empty if read in (None, "", {}, []) else read


class AgentForm(TenantForm):
    intents = Lines(help_text="Globs, one a line. None: the agent may state no intent.")
    tool_groups = Lines(help_text="Globs, one a line. None: the agent may call nothing.")

    class Meta:
        model = Agent
        fields = ("agent_id", "owner", "team", "intents", "tool_groups", "active")


class ToolForm(TenantForm):
    methods = Lines(required=True)
    data_classes = Lines()
    caps = Json("tools[].caps", "rate, spend, tokens, per.", empty={})
    arguments_schema = Json("tools[].arguments_schema", "a JSON Schema that the arguments must fit.", empty=None)
    argument_rules = Json("tools[].argument_rules", "a list of argument with sql or endpoints.", empty=[])
    approval = Json("tools[].approval", "teams, quorum, step_up, expires_in, approved_for, uses, always.", empty={})

    class Meta:
        model = Tool
        fields = (
            "tool_id", "group", "owner", "risk_tier", "methods", "data_classes", "caps", "arguments_schema",
            "argument_rules", "approval", "verified_principal", "wrapper",
            "descriptor_digest", "active",
        )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        tier = cleaned.get("risk_tier")
        if tier not in tuple(Tier):
            self.add_error("risk_tier", "A risk tier is 1, 2, 3 or 4.")
            tier = Tier.CRITICAL
        self._check("caps", tools.parse_caps)
        self._check("arguments_schema", tools.check_schema)
        self._check("argument_rules", tools.check_argument_rules)
        self._check("approval", lambda value: tools.parse_approval(value, tier=Tier(tier), source="tool"))
        self._check("approval", self._teams_exist)
        return cleaned

    def _check(self, name: str, check: Callable[[Any], object]) -> None:
        value = self.cleaned_data.get(name)
        if value:
            try:
                check(value)
            except InvalidError as error:
                self.add_error(name, [str(fault) for fault in error.faults])

    def _teams_exist(self, approval: dict[str, Any]) -> None:
        enough = dict.fromkeys(self.tenant.teams.values_list("name", flat=True), range(tools.MAX_QUORUM))
        tools.check_teams(tools.parse_approval(approval, tier=None, source="tool"), enough)


class EntityForm(TenantForm):
    properties = Json("entities[].properties", "any names and values that conditions may ask for.", empty={})

    class Meta:
        model = Entity
        fields = ("type", "entity_id", "properties")


class PersonForm(TenantForm):
    """A membership and the login behind it. The address decides which human it is: it is given once."""

    username = forms.CharField(max_length=150, widget=UnfoldAdminTextInputWidget())
    email = forms.EmailField(max_length=320, widget=UnfoldAdminEmailInputWidget())
    in_teams = forms.ModelMultipleChoiceField(
        Team.objects.none(), required=False, label="Teams", widget=UnfoldAdminSelectMultipleWidget()
    )
    roles = forms.MultipleChoiceField(
        choices=Role.choices, required=False, widget=UnfoldAdminCheckboxSelectMultipleWidget()
    )

    class Meta:
        model = Membership
        fields = ("roles", "active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        teams = self.fields["in_teams"]
        assert isinstance(teams, forms.ModelMultipleChoiceField)
        teams.queryset = Team.objects.filter(tenant=self.tenant).order_by("name")
        if self.instance.pk:
            teams.initial = [member.team_id for member in self.instance.teams.all()]
            for name in ("username", "email"):
                self.fields.pop(name, None)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        username, email = cleaned.get("username"), cleaned.get("email")
        if username and email:
            try:
                people.check_username(username, email=email)
            except people.BadUsername as error:
                self.add_error("username", str(error))
            if Membership.objects.filter(tenant=self.tenant, user__username=username).exists():
                self.add_error("username", "There is a member of that name already.")
        return cleaned


class KeyForm(TenantForm):
    """What a new key may reach. Agents' keys are issued from the list of agents."""

    kind = forms.ChoiceField(choices=[(kind, kind.label) for kind in CredentialKind if kind != CredentialKind.AGENT])
    agents = Lines(help_text="For a PEP: globs, one a line. None, and no subjects: every agent.")
    subjects = Lines(help_text="For a PEP: TYPE:GLOB, one a line, such as user:*")
    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in sorted(credentials.SCOPES)], required=False,
        help_text="For a person: reading is always allowed, voting only if asked for.",
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name, message in _misfits(cleaned):
            self.add_error(name, message)
        return cleaned


def _misfits(cleaned: dict[str, Any]) -> Iterator[tuple[str, str]]:
    kind = cleaned.get("kind")
    allowed: dict[str, Sequence[str]] = {"pep": ("agents", "subjects"), "person": ("scopes", "membership")}
    for name in ("agents", "subjects", "scopes", "membership"):
        if cleaned.get(name) and name not in allowed.get(str(kind), ()):
            yield name, f"A {kind} key has none of these."
    if kind == CredentialKind.PERSON and not cleaned.get("membership"):
        yield "membership", "Whose key is it?"
    for subject in cleaned.get("subjects") or ():
        if not all(subject.partition(":")):
            yield "subjects", f"{subject!r}: subjects are written TYPE:GLOB, such as user:*"
