"""Each path on which something can be written, and the story in which its COMMIT is cut; or why there is none.

`tests/config/test_endpoints.py` fails on a path that is not here, and on one that is no more.
"""

from collections.abc import Mapping

MACHINES: Mapping[str, str] = {
    "POST /access/v1/evaluation": "test_abuse_133_a_decision_is_one_record_and_one_charge",
    "POST /access/v1/evaluations": "test_abuse_133_many_decisions_are_one_record_each",
    "POST /access/v1/requests": "test_abuse_133_a_submission_of_several_makes_one_task",
    "POST /access/v1/requests/{task}/cancel": "test_abuse_133_a_cancellation_closes_once",
    "DELETE /access/v1/requests/{task}/cancel": "test_abuse_133_a_cancellation_closes_once",
    "POST /access/v1/outcomes": "test_abuse_133_an_outcome_is_told_once",
    "POST /access/v1/outcomes/{evaluation}/verification": "test_abuse_133_a_verification_is_one_fact",
}

_WAIVER = "test_abuse_133_each_step_of_a_waiver_is_taken_once"
_WAIVER_PAGE = "test_abuse_133_each_step_of_a_waiver_is_taken_once_on_its_page"
PEOPLE: Mapping[str, str] = {
    "api/v1/requests/<str:request_id>/step-up": "test_abuse_133_a_step_up_and_a_vote_count_once",
    "api/v1/requests/<str:request_id>/votes": "test_abuse_133_a_step_up_and_a_vote_count_once",
    "api/v1/waivers": "test_abuse_133_a_waiver_is_asked_for_once",
    "api/v1/waivers/<str:waiver_id>/step-up": _WAIVER,
    "api/v1/waivers/<str:waiver_id>/votes": _WAIVER,
    "api/v1/waivers/<str:waiver_id>/revoke": _WAIVER,
    "api/v1/waivers/<str:waiver_id>/shorten": _WAIVER,
    "api/v1/waivers/<str:waiver_id>/controls/<int:place>/attest": _WAIVER,
    "api/v1/waivers/<str:waiver_id>/controls/<int:place>/withdraw": _WAIVER,
    "api/v1/executions/<str:evaluation_id>/reconcile": "test_abuse_133_a_reconciliation_is_one_fact",
    "requests/<str:request_id>/vote/": "test_abuse_133_a_vote_on_a_page_counts_once",
    "waivers/new/": "test_abuse_133_a_waiver_is_asked_for_once_on_its_page",
    "waivers/<str:waiver_id>/revoke/": _WAIVER_PAGE,
    "waivers/<str:waiver_id>/shorten/": _WAIVER_PAGE,
    "waivers/<str:waiver_id>/confirm/": _WAIVER_PAGE,
    "waivers/<str:waiver_id>/take-back/": _WAIVER_PAGE,
    "executions/<str:evaluation_id>/reconcile/": "test_abuse_133_a_reconciliation_is_one_fact_on_its_page",
}

SPARED_MACHINES: Mapping[str, str] = {
    f"POST /access/v1/search/{part}": "It changes nothing; each look leaves its own record, also one whose answer was lost."
    for part in ("subject", "resource", "action")
}

_OWN = "It changes only what is its caller's own, and again it is the same or replaces that: a session, a code, an address."
_THEIRS = "The other system delivers again, or a person presses again; what it says is kept once, under its own name."
SPARED: Mapping[str, str] = {
    "requests/<str:request_id>/confirm/": "As requests/<str:request_id>/vote/",
    "requests/<str:request_id>/remember/": "It drafts, and keeps nothing.",
    "api/v1/waivers/preview": "It keeps nothing.",
    "api/v1/waivers/<str:waiver_id>/pack": "It changes nothing; each pack that is made is a record of its own.",
    "sign-in/": _OWN,
    "sign-in/link/<str:token>": _OWN,
    "sign-out/": _OWN,
    "account/authenticator/": _OWN,
    "account/authenticator/confirm/": _OWN,
    "account/tenant/": _OWN,
    "account/slack/code/": _OWN,
    "account/slack/confirm/": _OWN,
    "account/slack/unlink/": _OWN,
    "waivers/calendar/": _OWN,
    "waivers/calendar/stop/": _OWN,
    "slack/events": _THEIRS,
    "jira/webhook": _THEIRS,
    "servicenow/webhook": _THEIRS,
}

ELSEWHERE = frozenset({"admin/", "^access/v1/", r"^\.well-known/authzen-configuration"})
"""The administrators' forms, whose rows have names that are there once; and the machines' room, which has its own list."""
