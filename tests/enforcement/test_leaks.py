"""Secrets in arguments reach neither a record, nor what was not sealed, nor any error that is answered."""

import json
from datetime import timedelta

import pytest

from approvals import requests
from approvals.models import Approval
from approvals.waivers import ending
from countersign.proof import canonical
from evidence import clock
from evidence.models import KeptArguments, Record
from tests.approvals.asking import vote
from tests.approvals.waivers import excepting
from tests.countersign.inspection.corpus import HIDING, SECRETS
from tests.enforcement import machine
from tests.enforcement.machine import EVALUATION, OUTCOMES, REQUESTS, post, question
from tests.enforcement.test_requests import easy, fresh, opened
from tests.worlds import SETUP, World, world

pytestmark = pytest.mark.usefixtures("database")
_ALL = [secret for _, secret in SECRETS]
_HIDDEN = [hiding(_ALL[0]) for hiding in HIDING]


@pytest.fixture(scope="module")
def acme(database: None) -> World:
    return world()


def _is_in(text: str, data: bytes) -> bool:
    """As it is, or as JSON writes it, with and without escapes beyond ASCII."""
    spellings = {text.encode(), json.dumps(text)[1:-1].encode(), canonical.dumps(text)[1:-1]}
    return any(spelling in data for spelling in spellings)


class TestEvidence:
    @pytest.mark.parametrize("amount", ["10.00", "250.00"], ids=["allowed", "escalated"])
    def test_abuse_103_no_body_of_a_record_holds_an_argument(self, acme, amount):
        """Neither the value nor a digest of it that could be guessed; whoever may read it, reads it beside the record."""
        notes = {f"note {n}": secret for n, secret in enumerate([*_ALL, *_HIDDEN])}
        reply = machine.ask(acme.pep_key, arguments={"order": "A-1", "amount": amount, "notes": notes, _ALL[0]: 1})
        assert reply.status == 200
        if reply.context["outcome"] == "escalate":
            post(REQUESTS, acme.pep_key, {"evaluation_id": reply.context["evaluation_id"]})
        bodies = b"\n".join(bytes(body) for body in Record.objects.filter(log=acme.slug).values_list("body", flat=True))
        kept = b"\n".join(
            bytes(box) for box in KeptArguments.objects.filter(log=acme.slug).values_list("sealed_box", flat=True)
        )
        assert reply.context["evaluation_id"].encode() in bodies
        for secret in notes.values():
            assert not _is_in(secret, bodies)
            assert not _is_in(secret, kept)
            assert not _is_in(secret, reply.body)

    def test_abuse_103_no_word_of_who_withdraws_or_votes_or_takes_back_brings_a_secret_in(self):
        own = easy()
        withdrawn = opened(own, fresh())
        path = f"{REQUESTS}/{withdrawn.pk}/cancel"
        reply = machine.run(
            machine.send("DELETE", path, own.agent_key, {"reason": f"No. {_ALL[0]}", "comment": _ALL[1]})
        )
        assert reply.status == 200
        request = vote(opened(own, fresh()), own.erin, reason=f"Fine. {_ALL[0]}")
        approval = Approval.objects.get(request=request)
        requests.revoke_approval(
            approval.pk, tenant_id=own.tenant.pk, actor=SETUP, reason=f"Not fine. {_ALL[0]}", now=clock.now()
        )
        waiver = excepting.granted(own)
        soon = waiver.expires_at - timedelta(minutes=1)
        ending.shorten(
            waiver.pk, tenant_id=own.tenant.pk, by=own.erin, expires_at=soon, why=f"Less. {_ALL[0]}", now=clock.now()
        )
        ending.revoke(waiver.pk, tenant_id=own.tenant.pk, by=own.erin, why=f"Over. {_ALL[1]}", now=clock.now())
        bodies = b"\n".join(bytes(body) for body in Record.objects.filter(log=own.slug).values_list("body", flat=True))
        for words in ("No.", "Fine.", "Not fine.", "Less.", "Over."):
            assert f'"{words} [redacted'.encode() in bodies
        for secret in _ALL[:2]:
            assert not _is_in(secret, bodies)


class TestErrors:
    """The corpus pasted wherever a call can be wrong; what is answered says where, never what."""

    @pytest.mark.parametrize(
        "body",
        [
            lambda secret: question(arguments=secret),
            lambda secret: question(arguments={"order": "A-1", "amount": [secret]}),
            lambda secret: question(arguments={secret: 2**60}),
            lambda secret: question(arguments={"order": "A-1", "amount": "1.00", "more": {secret: float("nan")}}),
            lambda secret: question(intent=[secret]),
            lambda secret: question(attempt={"a": secret}),
            lambda secret: question(principal={"type": secret, "id": [secret]}),
            lambda secret: question(action={"name": {secret: secret}}),
            lambda secret: question(resource={"type": "tool", "id": [secret]}),
            lambda secret: question(subject={"type": secret, "id": "x"}),
            lambda secret: question(subject={"type": "agent", "id": secret}),
            lambda secret: {"subject": secret},
            lambda secret: [secret],
            lambda secret: secret,
            lambda secret: json.dumps(secret).encode()[:-1],
            lambda secret: (
                b'{"a": 1, ' + json.dumps(secret).encode() + b": 2, " + json.dumps(secret).encode() + b": 3}"
            ),
        ],
        ids=range(16),
    )
    @pytest.mark.parametrize("path", [EVALUATION, "/access/v1/evaluations", REQUESTS, OUTCOMES])
    def test_abuse_103_no_problem_quotes_what_it_was_sent(self, acme, path, body):
        for secret in _ALL:
            reply = post(path, acme.pep_key, body(secret))
            assert reply.status >= 400 or reply.json.get("decision") is False or "evaluations" in reply.json
            assert not _is_in(secret, reply.body)

    def test_abuse_103_no_refusal_of_a_key_quotes_it(self, acme):
        for secret in _ALL:
            reply = post(EVALUATION, secret.replace("\n", " "), question())
            assert reply.status == 401
            assert not _is_in(secret, reply.body)
