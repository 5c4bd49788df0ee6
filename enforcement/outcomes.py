"""`POST /access/v1/outcomes`: bytes in, a report checked; where the execution stands now out."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from countersign.proof import base64text, canonical, digests
from enforcement import authn, checks, decide, executions, http, moments, parse, pool, repeats, spending
from enforcement.authn import Caller
from enforcement.executions import Report
from enforcement.group import Stale
from enforcement.http import Request, Response
from enforcement.models import Custody
from enforcement.moments import Moment
from enforcement.problems import Kind, Problem, unavailable

T = TypeVar("T")

_SAYABLE = {
    status.value: status for status in (Custody.EXECUTING, Custody.COMMITTED, Custody.FAILED, Custody.INDETERMINATE)
}
_TIMES = ("started_at", "finished_at")


async def post(request: Request, caller: Caller) -> Response:
    """Raises Problem."""
    report = _report(parse.document(request.body), repeats.key_of(request.headers))
    status = await in_transaction(
        request, caller, lambda who, moment: executions.report(report, key=who.key, world=who.world, moment=moment)
    )
    return http.json({"evaluation_id": report.evaluation_id, "status": status.value})


async def in_transaction(request: Request, caller: Caller, work: Callable[[Caller, Moment], T]) -> T:
    """What `work` answers, committed, for a caller who is still one in the world of now. Raises Problem."""
    for _ in range(decide.ROUNDS):
        try:
            return await pool.run(_once, caller, work)
        except Stale as stale:
            await decide.renew(stale)
            caller = await authn.caller(request.headers)
    raise unavailable("The policy changes faster than this can be recorded.")


def _once(caller: Caller, work: Callable[[Caller, Moment], T]) -> T:
    return moments.of(caller.world, lambda moment: work(caller, moment))


def _report(document: Mapping[str, Any], key: str) -> Report:
    """The record carries times and digests; what was changed may hold anything, so only its digest is for ever."""
    evaluation_id, status = document.get("evaluation_id"), document.get("status")
    if not isinstance(evaluation_id, str) or not evaluation_id:
        raise Problem(Kind.MALFORMED, "`evaluation_id` must be a string.")
    if not isinstance(status, str) or status not in _SAYABLE:
        raise Problem(Kind.MALFORMED, f"`status` must be one of {', '.join(_SAYABLE)}.")
    told = {name: document[name] for name in (*_TIMES, "result_digest", "changes", "usage") if name in document}
    member: dict[str, Any] = {"status": status, **{name: time_of(told[name], name) for name in _TIMES if name in told}}
    if "result_digest" in told:
        member["result_digest"] = digest_of(told["result_digest"])
    if "changes" in told:
        member["changes_digest"] = _changes(told["changes"])
    used = spending.read(told["usage"]) if "usage" in told else spending.NONE
    return Report(evaluation_id, _SAYABLE[status], member, told, key, used, _action(document), _principal(document))


def _action(document: Mapping[str, Any]) -> tuple[str, bytes] | None:
    """What the allow was for, as its answer told it: both members or none."""
    digest, salt = document.get("action_digest"), document.get("commitment_salt")
    if digest is None and salt is None:
        return None
    try:
        return digests.check(digest), base64text.decode(salt if isinstance(salt, str) else "-")
    except (digests.NotADigest, base64text.BadBase64) as error:
        raise Problem(Kind.MALFORMED, "`action_digest` and `commitment_salt` must be those of the answer.") from error


def _principal(document: Mapping[str, Any]) -> str | None:
    """Whom the call was for, as `context.principal` named them in the question."""
    return str(checks.entity(document, "principal")["id"]) if "principal" in document else None


def time_of(value: Any, name: str) -> str:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise Problem(Kind.MALFORMED, f"`{name}` must be an RFC 3339 time.") from error
    if moment.tzinfo is None:
        raise Problem(Kind.MALFORMED, f"`{name}` must name its offset from UTC.")
    return str(value)


def digest_of(value: Any) -> str:
    try:
        return digests.check(value)
    except digests.NotADigest as error:
        raise Problem(Kind.MALFORMED, "`result_digest` must be sha256: and 64 hexadecimal digits.") from error


def _changes(value: Any) -> str:
    if not isinstance(value, list):
        raise Problem(Kind.MALFORMED, "`changes` must be an array.")
    return digests.sha256(canonical.dumps(value))
