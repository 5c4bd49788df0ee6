"""What a PEP wants to know: one tool call in, one AuthZEN evaluation body and the digest of its arguments out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from countersign.pep.answer import PepError
from countersign.proof import canonical, digests

ORIGINS: Mapping[str, tuple[str, ...]] = {
    "slack": ("channel", "thread"),
    "jira": ("issue",),
    "servicenow": ("record",),
}
"""The members of an origin beside its kind. The PDP knows more of them than their names."""


class BadQuestion(PepError):
    """The call cannot be written down exactly, so nobody can approve exactly this call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One tool call of one agent. Members left out are absent from the question, which is not the same as null; so are
    an intent, a session and a transaction that are empty.

    `principal` is a user's name or e-mail, or a whole AuthZEN subject. `descriptor_digest` is the fingerprint of the
    tool's description as the agent was shown it. `open_request` asks the PDP to open (or join) a request for approval
    in the same step, with `justification` as the agent's own words to the approver. `origin` names the thread or ticket
    the call came from, which may hear what becomes of it. `supported_obligations` are the types the PEP can do; None
    says nothing of them.
    """

    agent: str
    tool: str
    method: str = "call"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    intent: str | None = None
    principal: str | Mapping[str, Any] | None = None
    session: str | None = None
    transaction: str | None = None
    usage: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] | None = None
    descriptor_digest: str | None = None
    approval: Mapping[str, Any] | None = None
    open_request: bool = False
    justification: str | None = None
    origin: Mapping[str, Any] | None = None
    supported_obligations: tuple[str, ...] | None = None

    def body(self, *, attempt: str) -> bytes:
        """The request body. Raises BadQuestion where a value has no exact JSON form."""
        return encode(self.members(attempt=attempt))

    def members(self, *, attempt: str) -> dict[str, Any]:
        """The same as it stands in a request for many."""
        context = self.context() | {"attempt": attempt}
        if self.approval is not None:
            context["approval"] = self.approval
        if self.open_request:
            context["open_request"] = True
        if self.justification is not None:
            context["justification"] = self.justification
        if self.origin is not None:
            context["origin"] = self.origin
        if self.supported_obligations is not None:
            context["supported_obligations"] = list(self.supported_obligations)
        return self.entities() | {"context": context}

    def entities(self) -> dict[str, Any]:
        """Subject, action and resource, as evaluation and access request both need them."""
        resource: dict[str, Any] = {"type": "tool", "id": self.tool}
        if self.descriptor_digest is not None:
            resource["properties"] = {"descriptor_digest": self.descriptor_digest}
        return {
            "subject": {"type": "agent", "id": self.agent},
            "action": {"name": self.method},
            "resource": resource,
        }

    def context(self) -> dict[str, Any]:
        """What binds: the members that say which call this is."""
        members = {
            "arguments": self.arguments,
            "intent": self.intent or None,
            "principal": self.whom(),
            "session": self.session or None,
            "transaction": self.transaction or None,
            "usage": self.usage,
            "environment": self.environment,
        }
        return {name: value for name, value in members.items() if value is not None}

    def whom(self) -> Mapping[str, Any] | None:
        """The principal as a subject."""
        principal = self.principal
        return {"type": "user", "id": principal} if isinstance(principal, str) else principal

    def arguments_digest(self) -> str:
        """Our own digest of the arguments, to compare with the one the PDP answers. Raises BadQuestion."""
        try:
            return digests.arguments_digest(self.arguments)
        except canonical.NotCanonical as error:
            raise BadQuestion(f"the arguments cannot be bound: {error}") from error


def origin_of(text: str) -> Mapping[str, str]:
    """`slack:CHANNEL/THREAD`, `jira:ISSUE` or `servicenow:RECORD` as an origin. Raises ValueError."""
    kind, _, place = text.partition(":")
    names, parts = ORIGINS.get(kind, ()), place.split("/")
    if not names or len(parts) != len(names) or not all(parts):
        raise ValueError(f"{text!r} is not slack:CHANNEL/THREAD, jira:ISSUE or servicenow:RECORD")
    return {"kind": kind, **dict(zip(names, parts, strict=True))}


def encode(value: Any) -> bytes:
    """Canonical JSON, so that a repeated question is the same question byte for byte. Raises BadQuestion."""
    try:
        return canonical.dumps(value)
    except canonical.NotCanonical as error:
        raise BadQuestion(f"the call cannot be written as exact JSON: {error}") from error


def fingerprint(value: Any) -> str:
    """`sha256:` and the SHA-256 of the canonical JSON of a value. Raises BadQuestion."""
    try:
        return digests.sha256(canonical.dumps(value))
    except canonical.NotCanonical as error:
        raise BadQuestion(f"no exact JSON form: {error}") from error
