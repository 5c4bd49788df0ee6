"""An escalated call in; its answer out, with the task that waits for it or the way to open one. Blocking."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings

from approvals import handle, requests
from approvals.models import AccessRequest, Approval, Status
from approvals.requests import Ask
from countersign.policy.values import Because, Outcome, Reason, Verdict
from countersign.policy.waivers import Lifted, Waivers, lift
from countersign.proof import canonical
from countersign.proof.events import Event
from enforcement import arap, attempts, batch, binding, parse, published, telling
from enforcement.asked import Asked
from enforcement.attempts import Given
from enforcement.memory import World
from enforcement.models import Escalation
from enforcement.moments import Moment
from enforcement.telling import Said
from evidence import kept, keys, ledger
from evidence.keys import Purpose
from evidence.ledger import Actor
from registry.snapshot import KeyView

MCP_CALL = "tools/call"
DENIAL_LIFE = timedelta(minutes=10)  # how long a denial can be requested upon


class Step(NamedTuple):
    """One call, judged and not yet answered."""

    asked: Asked
    key: KeyView
    world: World
    evaluation_id: str
    verdict: Verdict
    offset: float  # of the clock it was judged by
    lifted: Lifted | None = None  # the waiver that lets it through, if its use can be taken


def repeated(step: Step, moment: Moment) -> bytes | None:
    """The answer given to this attempt before, or None. Raises Problem (409) if that was another call."""
    if step.asked.attempt is None:
        return None
    name = (step.key.id, step.asked.attempt)
    given = attempts.find(moment.cursor, [name]).get(name)
    if given is None:
        return None
    allowed_now = attempts.permits(given.answer) and _rests_on_the_same(step, given, moment)
    return given.again(attempts.digest_of(step.asked.call), allowed_now=allowed_now)


def _rests_on_the_same(step: Step, given: Given, moment: Moment) -> bool:
    """Whether that allow was given for the very approval that is presented now, which nobody took back since, or under
    a waiver that would let the call through now. Presenting some approval makes no other allow good again.
    """
    evaluation_id = canonical.loads_object(given.answer)["context"]["evaluation_id"]
    predicate = (ledger.find(step.world.tenant, evaluation_id) or {}).get("predicate", {})
    if step.asked.approval is None:
        return "waiver" in predicate and _still_lifts(step, predicate["waiver"]["id"], moment)
    approval = predicate.get("entitlement", {}).get("approval")
    unrevoked = Approval.objects.filter(pk=approval, tenant_id=step.world.tenant_id, revoked_at__isnull=True)
    return bool(approval == step.asked.approval and unrevoked.exists())


def _still_lifts(step: Step, waiver_id: str, moment: Moment) -> bool:
    """Whether that very waiver would let the call through if it had a use left: the last may have been this call's."""
    world = step.world
    known = [one for one in (*world.waivers.all, *world.used_up.all) if one.id == waiver_id]
    return lift(Waivers(known), world.bundle, step.asked.call, step.verdict, now=moment.now) is not None


def answer(step: Step, moment: Moment) -> bytes:
    """Escalate: join or open a request if that is wanted, else say how."""
    if (given := repeated(step, moment)) is not None:
        return given
    return escalate(step, moment, telling.of_verdict(step.verdict))


def escalate(step: Step, moment: Moment, said: Said, *, more: Mapping[str, Any] | None = None) -> bytes:
    """Record and answer an escalation, whatever its reason."""
    asked = step.asked
    if _is_blank(asked):
        return _not_askable(step, moment, said, refused=more is not None)
    if asked.open_request:
        request, asked = _opened(step, moment)
        thread = request.pk if request else step.evaluation_id
    else:
        request = requests.matching(
            step.world.tenant_id, asked.call.action_digest, now=moment.now, credential_id=step.key.id
        )
        thread = step.evaluation_id
    if request is not None and request.status == Status.APPROVED and more is None:
        words = "This call is approved already; ask again and present the approval."
        said = telling.because_of(said, Because(Reason.APPROVAL_AVAILABLE, words), outcome=Outcome.ESCALATE)
    access = _access(step, moment, said, request)
    _keep(step._replace(asked=asked), moment)
    return recorded(
        step._replace(asked=asked),
        moment,
        said,
        thread=thread,
        request_id="" if thread == step.evaluation_id else thread,
        more={**(more or {}), "access_request": access},
    )


def _is_blank(asked: Asked) -> bool:
    """Whether the arguments were left out of an MCP tool call, as the default mapping of COAZ-MCP leaves them out.

    What people would approve is any call of that tool: for payee A as well as for payee B.
    """
    call = asked.call
    return call.action_name == MCP_CALL and call.resource_type == "tool" and "arguments" not in call.context


def _not_askable(step: Step, moment: Moment, said: Said, *, refused: bool) -> bytes:
    words = "Its arguments were left out, so that nobody can be asked about it: send them in `context.arguments`."
    because = Because(Reason.APPROVAL_REQUIRED, words)
    told = telling.because_of(said, because, outcome=Outcome.DENY, next_action="none" if refused else None)
    return recorded(step, moment, told, thread=step.evaluation_id)


def ask_of(step: Step, *, justification: str) -> Ask:
    """What `approvals` needs to open a request for this call."""
    tool = step.world.bundle.registry.tools.get(step.asked.call.resource_id)
    return Ask(
        tenant=step.world.tenant,
        tenant_id=step.world.tenant_id,
        call=step.asked.call,
        verdict=step.verdict,
        salt=step.asked.salt,
        commitment=step.asked.commitment,
        evaluation_id=step.evaluation_id,
        credential_id=step.key.id,
        policy_revision=step.world.snapshot.release_revision,
        registry_revision=step.world.snapshot.registry_revision,
        risk_tier=int(tool.risk_tier) if tool and step.asked.call.resource_type == "tool" else None,
        justification=justification,
        origin=step.asked.origin,
    )


def _opened(step: Step, moment: Moment) -> tuple[AccessRequest | None, Asked]:
    """The request this call now waits for, and the call under that request's commitment. None: too many are open."""
    ask = ask_of(step, justification=step.asked.justification)
    try:
        opened = requests.open_or_join(ask, max_open=step.world.snapshot.max_open_requests, now=moment.now)
    except requests.TooManyOpen:
        return None, step.asked
    return opened.request, under_commitment_of(opened.request, step.asked, step.world)


def under_commitment_of(request: AccessRequest, asked: Asked, world: World) -> Asked:
    """The same call with the request's salt: one case speaks of one commitment, so that it can be followed."""
    if request.commitment == asked.commitment:
        return asked
    found = kept.read(world.tenant, request.commitment)
    return asked if found is None else replace(asked, salt=found.salt, commitment=request.commitment)


def _access(step: Step, moment: Moment, said: Said, request: AccessRequest | None) -> dict[str, Any]:
    base_url, form = settings.COUNTERSIGN.base_url, settings.COUNTERSIGN.request_form_url
    return arap.requestable(
        expires_at=moment.now + DENIAL_LIFE,
        template=None if step.key.brief else telling.template_of(step.verdict),
        binding_token=_token(step, moment) if settings.COUNTERSIGN.signed_references else None,
        form_url=f"{form}?evaluation_id={step.evaluation_id}" if form else None,
        request_schema_url=base_url + published.SCHEMA,
        description=" ".join(one.message for one in said.reasons),
        found=handle.document(request, brief=step.key.brief, now=moment.now) if request else {},
        base_url=base_url,
    )


def _token(step: Step, moment: Moment) -> str:
    recorded = parse.document(step.asked.body)
    return binding.token(
        recorded, evaluation_id=step.evaluation_id, now=moment.now, expires_at=moment.now + DENIAL_LIFE
    )  # fmt: skip


def _keep(step: Step, moment: Moment) -> None:
    """What a later submission is bound to: the question word for word, encrypted, and the arguments with their salt."""
    asked = step.asked
    Escalation.objects.create(
        evaluation_id=step.evaluation_id,
        tenant_id=step.world.tenant_id,
        credential_id=step.key.id,
        action_digest=asked.call.action_digest,
        commitment=asked.commitment,
        question=keys.seal(asked.body, bound_to=place_of(step.world.tenant, step.evaluation_id)),
        made_at=moment.now,
        expires_at=moment.now + DENIAL_LIFE,
    )
    kept.keep(
        step.world.tenant, commitment=asked.commitment, action=asked.call.action, arguments=asked.call.arguments,
        salt=asked.salt, now=moment.now,
    )  # fmt: skip


def place_of(tenant: str, evaluation_id: str) -> str:
    """What a sealed question is bound to: a box moved to another row does not open."""
    return f"escalation/{tenant}/{evaluation_id}"


def recorded(
    step: Step,
    moment: Moment,
    said: Said,
    *,
    thread: str,
    request_id: str = "",
    more: Mapping[str, Any] | None = None,
    **members: Mapping[str, Any],
) -> bytes:
    """Write `decision.made` and the attempt; the answer with its receipt. Whoever owns the thread holds its lock."""
    asked, world = step.asked, step.world
    who = telling.actor(step.key)
    written = ledger.append(
        Event.DECISION_MADE,
        tenant=world.tenant,
        thread=thread,
        actor=Actor(**who),
        now=moment.now,
        commitment=asked.commitment,
        event_id=step.evaluation_id,
        session=asked.call.session or "",
        transaction=asked.call.transaction or "",
        request=request_id,
        action=telling.action(asked),
        decision=telling.decision(said, world),
        **members,
    )
    body = telling.answer(
        said,
        asked=asked,
        world=world,
        brief=step.key.brief,
        evaluation_id=step.evaluation_id,
        at=moment.now,
        more=more or {},
    )
    told = batch.promised(
        body, log=world.tenant, leaf=written.leaf, now=moment.now, signer=keys.signer(Purpose.PDP)
    )  # fmt: skip
    if asked.attempt is not None:
        given = Given(attempts.digest_of(asked.call), told, moment.now)
        attempts.keep(moment.cursor, [((step.key.id, asked.attempt), given)])
    return told
