"""The register: what is listed, how often a waiver was used, what is the matter with it, what terms would cover."""

import csv
import io
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from approvals.models import Waiver
from approvals.waivers import covering, csv_export, register, traffic
from approvals.waivers.register import Name
from countersign.policy.faults import InvalidError
from evidence import clock, kept, ledger, seal
from tests.approvals.browsing import signed_in
from tests.approvals.waivers.excepting import RULE, asked, call, easy, granted, terms
from tests.enforcement.machine import Reply, ask, question
from tests.worlds import AGENT, World

MONTH = timedelta(days=30)


@pytest.fixture
def ours(database: None) -> World:
    return easy()


def covered(own: World, **changes: Any) -> register.Covered:
    """Of all that was sealed until now."""
    seal.seal_due(own.slug)
    return register.covered(own.tenant, terms(own, **changes), since=clock.now() - MONTH)


def refund(own: World, amount: str, n: int = 0, **arguments: Any) -> Reply:
    """Of so much, in a case of its own."""
    said = {"order": "A-1", "amount": amount, **arguments}
    body = question(arguments={name: value for name, value in said.items() if value}, transaction=f"case-{n}")
    return ask(own.pep_key, body)


class TestListed:
    def test_abuse_057_holds_nothing_of_another_tenant(self, ours: World) -> None:
        asked(easy())
        assert not register.listed(ours.tenant).exists()

    def test_the_last_asked_for_comes_first(self, ours: World) -> None:
        first, second = asked(ours), asked(ours)
        assert list(register.listed(ours.tenant)) == [second, first]

    def test_is_narrowed_by_whole_names_and_searched_by_parts(self, ours: World) -> None:
        one = asked(ours, ticket="OPS-4711")
        other = granted(ours, owner=ours.username("frank"), reason="Something else.")
        narrowed: Mapping[str, Waiver | None] = {
            "state=pending": one, "state=live": other, "state=refused": None,
            f"owner={ours.username('frank')}": other, f"owner={ours.username('fran')}": None,
            "q=ops-47": one, "q=thing else": other, f"q={one.pk}": one, "q=100%": None,
        }  # fmt: skip
        for said, found in narrowed.items():
            name, _, value = said.partition("=")
            rows = register.listed(ours.tenant, **{name: value})  # type: ignore[arg-type]
            assert list(rows) == ([found] if found else []), said

    def test_tools_and_rules_are_those_it_is_pinned_to(self, ours: World) -> None:
        waiver = asked(ours)
        assert list(register.listed(ours.tenant, tool="payments.refund", rule=RULE)) == [waiver]
        assert not register.listed(ours.tenant, tool="payments").exists()
        assert not register.listed(ours.tenant, rule="refunds").exists()


class TestUses:
    def test_are_counted_by_day_from_the_records(self, ours: World) -> None:
        waiver = granted(ours)
        assert register.uses_by_day(waiver) == []
        for n in range(3):
            assert call(ours, transaction=f"case-{n}").told[0]
        assert sum(day.uses for day in register.uses_by_day(waiver)) == 3


class TestFlags:
    def test_a_waiver_that_carries_most_of_its_rules_calls_is_policy(
        self, ours: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(register, "LEAST_USES", 3)
        for n in range(3):
            call(ours, transaction=f"before-{n}")
        waiver = granted(ours)
        for n in range(3):
            call(ours, transaction=f"case-{n}")
        seal.seal_due(ours.slug)
        waiver.refresh_from_db()
        assert register.flags(waiver, now=clock.now()) == []  # three of six are no more than half
        call(ours, transaction="case-3")
        seal.seal_due(ours.slug)
        waiver.refresh_from_db()
        (flag,) = register.flags(waiver, now=clock.now())
        assert flag.name is Name.POLICY_NOW
        assert "4 of about 7" in flag.words

    def test_few_uses_say_nothing(self, ours: World) -> None:
        waiver = granted(ours)
        call(ours)
        seal.seal_due(ours.slug)
        waiver.refresh_from_db()
        assert register.flags(waiver, now=clock.now()) == []

    def test_what_was_long_ago_says_nothing(self, ours: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(register, "LEAST_USES", 1)
        waiver = granted(ours)
        call(ours)
        seal.seal_due(ours.slug)
        waiver.refresh_from_db()
        assert register.flags(waiver, now=clock.now())
        assert not register.flags(waiver, now=clock.now() + MONTH)

    def test_renewed_more_than_so_often(self, ours: World) -> None:
        waiver = asked(ours)
        for _ in range(register.RENEWALS + 1):
            assert register.flags(waiver, now=clock.now()) == []
            waiver = asked(ours, renews=waiver.pk)
        (flag,) = register.flags(waiver, now=clock.now())
        assert flag.name is Name.RENEWED_OFTEN


class TestCovered:
    def test_refuses_what_is_no_terms(self, ours: World) -> None:
        with pytest.raises(InvalidError):
            covered(ours, rules=[])

    def test_a_log_without_records_covers_nothing(self, ours: World) -> None:
        found = register.covered(ours.tenant, terms(ours), since=clock.now() + MONTH)
        assert (found.number, found.samples, found.unjudged, found.there, found.is_whole) == (0, (), 0, 0, True)

    def test_counts_each_call_once_with_up_to_three_samples(self, ours: World) -> None:
        for n in range(4):
            call(ours, transaction=f"case-{n}", open_request=True)
        call(ours, transaction="case-3", open_request=True)  # asked again
        found = covered(ours)
        assert (found.number, found.unjudged, len(found.samples)) == (4, 0, 3)
        assert found.is_whole
        newest = found.samples[0]
        assert (newest.agent, newest.tool, newest.method) == (AGENT, "payments.refund", "create")
        assert ledger.find(ours.slug, newest.evaluation_id)
        assert {line["label"]: line["value"] for line in newest.arguments or ()} == {
            "arguments.amount": '"250.00"', "arguments.order": '"A-1"',
        }  # fmt: skip

    def test_counts_no_call_that_another_rule_or_nobody_held_up(self, ours: World) -> None:
        call(ours)
        assert not covered(ours, rules=["refunds-under-100"]).number
        assert not covered(ours, match={"agents": ["other-*"], "tools": ["payments.refund"]}).number
        assert not covered(ours, match={"agents": [AGENT], "tools": ["crm.*"]}).number
        assert not covered(ours, match={"agents": [AGENT], "tools": ["payments.*"], "methods": ["get"]}).number
        assert covered(ours, match={"agents": ["support-*"], "tools": ["payments.*"]}).number == 1

    def test_counts_no_call_that_was_allowed_or_that_the_registry_refused(self, ours: World) -> None:
        assert refund(ours, "10.00").told[0]
        assert not refund(ours, "").told[0]
        assert covered(ours).number == 0

    def test_counts_what_an_earlier_waiver_let_through(self, ours: World) -> None:
        waiver = granted(ours)
        call(ours)
        assert covered(ours, renews=waiver.pk).number == 1

    def test_evaluates_the_condition_on_what_is_kept(self, ours: World) -> None:
        for n, amount in enumerate(("150.00", "250.00", "350.00")):
            refund(ours, amount, n)
        assert covered(ours, when="double(arguments.amount) < 300.0").number == 2
        assert covered(ours, when='arguments.nothing == "x"').number == 0
        assert covered(ours, when='transaction == "case-1"').number == 1

    def test_looks_at_intents_and_principals(self, ours: World) -> None:
        call(ours)
        match = {"agents": [AGENT], "tools": ["payments.refund"]}
        assert covered(ours, match={**match, "intents": ["customer-refund"]}).number == 1
        assert covered(ours, match={**match, "intents": ["lookup"]}).number == 0
        assert covered(ours, match={**match, "principals": ["dana@acme.test"]}).number == 0

    def test_says_how_many_cannot_be_judged(self, ours: World) -> None:
        for n in range(2):
            call(ours, transaction=f"case-{n}")
        seal.seal_due(ours.slug)
        one = traffic.look(ours.slug, since=clock.now() - MONTH).calls[0]
        assert kept.erase(ours.slug, one.commitment)
        found = covered(ours, when="double(arguments.amount) > 0.0")
        assert (found.number, found.unjudged) == (1, 1)
        assert [sample.arguments is None for sample in covered(ours).samples] == [True, False]
        found = covered(ours, when='session == ""')  # a session is not kept
        assert (found.number, found.unjudged) == (0, 2)

    def test_a_box_changed_by_hand_counts_as_not_judged(self, ours: World) -> None:
        call(ours)
        seal.seal_due(ours.slug)
        kept.KeptArguments.objects.filter(log=ours.slug).update(sealed_box=b"another")
        assert (covered(ours).number, covered(ours, when="true").unjudged) == (1, 1)

    def test_abuse_103_secrets_are_not_in_samples(self, database: None) -> None:
        ours = easy()
        secret = "AKIAIOSFODNN7REALKEY"
        refund(ours, "250.00", order=secret)
        (sample,) = covered(ours).samples
        assert sample.arguments is not None
        assert secret not in str(sample)
        assert "[redacted: aws-access-key]" in str(sample.arguments)

    def test_looks_at_no_more_than_so_many_records(self, ours: World, monkeypatch: pytest.MonkeyPatch) -> None:
        for n in range(12):
            call(ours, transaction=f"case-{n}")
        whole = covered(ours)
        assert (whole.number, whole.is_whole) == (12, True)
        monkeypatch.setattr(traffic, "LOOKED_AT", whole.there // 2)
        some = covered(ours)
        assert (some.there, some.looked_at, some.is_whole) == (whole.there, whole.there // 2, False)
        assert 0 < some.number < 12

    def test_opens_no_more_than_so_many(self, ours: World, monkeypatch: pytest.MonkeyPatch) -> None:
        for n in range(3):
            call(ours, transaction=f"case-{n}")
        monkeypatch.setattr(covering, "OPENED", 2)
        found = covered(ours, when="true")
        assert (found.number, found.unjudged) == (2, 1)

    def test_begins_where_the_time_does(self, ours: World) -> None:
        call(ours, transaction="case-0")
        middle = clock.now()
        call(ours, transaction="case-1")
        seal.seal_due(ours.slug)
        assert register.covered(ours.tenant, terms(ours), since=middle).number == 1
        assert covered(ours).number == 2


class TestMaySeeCalls:
    def test_is_for_those_who_read_decisions_or_are_asked(self, ours: World) -> None:
        waiver = asked(ours)
        may = {name: register.may_see_calls(member, waiver.request) for name, member in ours.people.items()}
        assert may == {
            "erin": True,
            "frank": True,
            "carol": True,
            "dana": True,
            "ada": True,
        }  # dana: admin, ada: auditor
        ours.apply(people=[{"username": ours.username("zoe"), "email": "zoe@acme.test", "teams": ["support"]}])
        zoe = ours.tenant.memberships.get(user__username=ours.username("zoe"))
        assert not register.may_see_calls(zoe, waiver.request)
        assert not register.may_see_calls(zoe, ["finance"])
        assert register.may_see_calls(zoe, ["support", "finance"])


class TestCsv:
    @pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "|cmd", "\n=1"])
    def test_abuse_107_no_cell_is_a_formula(self, text: str) -> None:
        made = csv_export.cell(text)
        assert made.lstrip()[0] not in "=+-@|＝\t\r\n"

    @pytest.mark.parametrize("text", ["refund", "2026-11-21T12:00:00Z", "0", "", "a=1", 'say "x"'])
    def test_other_cells_stay_as_they_are(self, text: str) -> None:
        assert csv_export.cell(text) == text

    def test_abuse_107_what_somebody_typed_stays_in_its_cell(self, ours: World) -> None:
        waiver = asked(ours, reason='=HYPERLINK("http://evil.test","x"),y\r\n=1+1', ticket="@SUM(A1)")
        made = signed_in(ours.erin).get("/waivers/register.csv?state=pending")
        assert made["Content-Disposition"] == 'attachment; filename="waivers.csv"'
        (row,) = csv.DictReader(io.StringIO(made.content.decode(), newline=""))
        assert tuple(row) == csv_export.COLUMNS
        assert row["id"] == waiver.pk
        assert row["reason"].startswith("'=HYPERLINK(")
        assert row["ticket"] == "'@SUM(A1)"
        assert not [value for value in row.values() if value[:1] in {"=", "+", "-", "@", "\t", "\r"}]

    def test_abuse_057_holds_what_the_list_holds(self, ours: World) -> None:
        asked(ours)
        asked(easy())
        client = signed_in(ours.erin)
        for query, there in (("", 1), ("?state=live", 0), ("?q=migration", 1), ("?q=nothing", 0)):
            rows = csv.DictReader(io.StringIO(client.get(f"/waivers/register.csv{query}").content.decode()))
            assert len(list(rows)) == there

    def test_is_for_members(self) -> None:
        assert Client().get("/waivers/register.csv").status_code == 302
