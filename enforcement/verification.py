"""`POST /access/v1/outcomes/{evaluation_id}/verification`: bytes in, a finding checked; the fact it became out."""

from collections.abc import Mapping
from typing import Any

from countersign.proof import digests
from enforcement import http, outcomes, parse, verifying
from enforcement.authn import Caller
from enforcement.http import Request, Response
from enforcement.models import Finding
from enforcement.problems import Kind, Problem
from enforcement.verifying import Seen
from evidence.journal import timestamp
from registry.models import CredentialKind

VERB = "verification"
MAX_DETAIL = 4000
_MEMBERS = frozenset({"status", "observed_at", "result_digest", "detail"})


async def post(request: Request, caller: Caller, evaluation_id: str) -> Response:
    """Raises Problem."""
    if caller.key.kind != CredentialKind.VERIFIER:
        words = "Only a verifier's own key may say what became of a call, never the agent's or the PEP's."
        raise Problem(Kind.FORBIDDEN, words)
    seen = _seen(evaluation_id, parse.document(request.body))
    made = await outcomes.in_transaction(
        request, caller, lambda who, moment: verifying.take_in(seen, key=who.key, world=who.world, moment=moment)
    )
    told = {
        "evaluation_id": evaluation_id,
        "verification_id": made.pk,
        "status": made.finding,
        "recorded_at": timestamp(made.made_at),
    }
    return http.json(told)


def _seen(evaluation_id: str, document: Mapping[str, Any]) -> Seen:
    """Strict: a verifier that misspells a member would say less than it believes. The detail may hold anything, so
    only its digest is for ever.
    """
    if unknown := sorted(document.keys() - _MEMBERS):
        raise Problem(Kind.MALFORMED, f"A verification has no `{unknown[0][:60]}`.")
    status = document.get("status")
    if not isinstance(status, str) or status not in Finding.values:
        raise Problem(Kind.MALFORMED, f"`status` must be one of {', '.join(Finding.values)}.")
    told = {name: document[name] for name in sorted(_MEMBERS - {"status"}) if name in document}
    member: dict[str, Any] = {}
    if "observed_at" in told:
        member["observed_at"] = outcomes.time_of(told["observed_at"], "observed_at")
    if "result_digest" in told:
        member["result_digest"] = outcomes.digest_of(told["result_digest"])
    if "detail" in told:
        member["detail_digest"] = digests.sha256(_detail(told["detail"]).encode())
    return Seen(evaluation_id, Finding(status), member, told)


def _detail(value: Any) -> str:
    if not isinstance(value, str):
        raise Problem(Kind.MALFORMED, "`detail` must be a string.")
    if len(value) > MAX_DETAIL:
        raise Problem(Kind.UNREPRESENTABLE, f"`detail` must have at most {MAX_DETAIL} characters.")
    return value
