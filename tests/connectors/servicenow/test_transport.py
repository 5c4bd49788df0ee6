"""Requests told in a ServiceNow look-alike over HTTP: records, approvals, notes, and what goes wrong on the way."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from approvals.models import AccessRequest
from connectors import telling
from connectors.port import Account, Item, Line, Moment, Name, Place, TransportError, Waiting
from connectors.servicenow import card, table, transport
from connectors.servicenow.transport import ServiceNow
from examples.lookalikes.faults import Fault
from examples.lookalikes.servicenow.instance import APPROVALS, CHANGES
from tests.approvals.asking import DENY, TOTP, opened, requirement, vote
from tests.connectors.sample import HOSTILE, OPENED, closed, told
from tests.connectors.servicenow.world import PLACE, Now, connected


@pytest.fixture(scope="module")
def shared(database: None) -> Iterator[Now]:
    with connected(storm=False) as made:
        yield made


@pytest.fixture
def now(shared: Now) -> Iterator[Now]:
    """Nothing is broken, and people's rights are as at first."""
    shared.faults.clear()
    yield shared
    shared.faults.clear()


@pytest.fixture
def there(now: Now) -> ServiceNow:
    return transport.open_(now.account)


def tell(request: AccessRequest):
    return telling.told(AccessRequest.objects.select_related("tenant").get(pk=request.pk), version=1)


class TestFailures:
    @pytest.mark.parametrize(
        ("fault", "permanent"),
        [
            (Fault(status=401), True), (Fault(status=403), True), (Fault(status=404), True), (Fault(status=400), True),
            (Fault(status=301), True), (Fault(status=429, retry_after="7"), False), (Fault(status=500), False),
            (Fault(status=503), False), (Fault(drop="before"), False),
        ],
    )  # fmt: skip
    def test_are_told_apart_for_good_or_for_now(self, now, there, fault, permanent):
        now.faults.add(fault)
        with pytest.raises(TransportError) as failed:
            there.check()
        assert failed.value.permanent is permanent
        assert failed.value.retry_after == (timedelta(seconds=7) if fault.status == 429 else None)

    @pytest.mark.parametrize(
        ("header", "seconds"), [("7", 7), ("999999999999", 60), ("99999", 3600), ("Wed, 21 Oct", 60), ("-1", 60)]
    )
    def test_a_wait_is_never_longer_than_an_hour(self, now, there, header, seconds):
        now.faults.add(Fault(status=429, retry_after=header))
        with pytest.raises(TransportError) as failed:
            there.check()
        assert failed.value.retry_after == timedelta(seconds=seconds)

    def test_an_answer_that_takes_too_long_is_for_now(self, now, there, monkeypatch):
        monkeypatch.setattr(table, "_TIMEOUT", 0.2)
        now.faults.add(Fault(delay=1))
        with pytest.raises(TransportError, match="did not answer") as failed:
            there.check()
        assert not failed.value.permanent

    def test_a_wrong_password_is_for_good_and_not_repeated(self, now):
        wrong = Account("acme", 1, "servicenow", {"url": now.url, "user": "countersign", "password": "hunter2"})
        with pytest.raises(TransportError, match="refused our user") as failed:
            ServiceNow(wrong).check()
        assert failed.value.permanent
        assert "hunter2" not in str(failed.value)

    def test_an_instance_that_is_away_is_for_now(self):
        away = Account("acme", 1, "servicenow", {"url": "http://127.0.0.1:1", "user": "x", "password": "y"})
        with pytest.raises(TransportError) as failed:
            ServiceNow(away).check()
        assert not failed.value.permanent

    @pytest.mark.parametrize("key", ["../users", "change_request?x=", "", "Change", "a/b", "x^y"])
    def test_a_channel_that_names_no_table_reaches_none(self, there, key):
        with pytest.raises(TransportError, match="no table") as failed:
            there.post(Place("servicenow", key, {}), told())
        assert failed.value.permanent


class TestPost:
    def test_makes_a_record_and_asks_everybody_who_is_linked(self, now, there):
        request = opened(now.acme)
        ref = there.post(PLACE, tell(request))
        row = now.record(request)
        assert (ref["sys_id"], ref["number"], row["approval"]) == (row["sys_id"], row["number"], "requested")
        assert row["short_description"] == "Approval needed: payments.refund create by support-bot"
        for said in ("arguments.amount", "250.00", f"/requests/{request.pk}/", request.display_hash, "2 by finance"):
            assert said in row["description"], said
        assert now.states(request) == {"erin": "requested", "frank": "requested"}
        assert "Request opened" in now.notes(request)

    def test_that_asked_nobody_yet_does_not_look_as_if_it_had_been_turned_away(self, now, there):
        request = opened(now.acme)
        now.faults.add(Fault("GET sysapproval_approver", status=429, retry_after="5"))
        with pytest.raises(TransportError) as caught:
            there.post(PLACE, tell(request))
        assert caught.value.retry_after is None
        assert there.find(PLACE, tell(request).name) is not None

    def test_asks_nobody_on_the_asking_side(self, now, there):
        request = opened(now.acme)
        AccessRequest.objects.filter(pk=request.pk).update(principal_human=now.acme.erin.user.human)
        there.post(PLACE, tell(request))
        assert now.states(request) == {"frank": "requested"}

    def test_lets_no_text_begin_a_line_or_turn_into_html(self, now, there):
        lines = (Line("argument", "note", HOSTILE, ()),)
        made = told(lines=lines, request_id=opened(now.acme).pk, story=(Moment(OPENED, HOSTILE),))
        there.post(PLACE, made)
        (row,) = [one for one in now.instance.tables[CHANGES].values() if one["correlation_id"] == made.request_id]
        notes = "\n".join(now.instance.notes(row["sys_id"], "work_notes"))
        for text in (row["description"], notes):
            assert "[code]" not in text.lower()
            assert "\u202e" not in text
            assert not any(line.startswith("Risk tier: 1") for line in text.splitlines())

    def test_what_does_not_fit_is_left_out_and_can_not_be_answered_there(self):
        lines = tuple(Line("argument", f"arguments.{n}", "x" * 200, ()) for n in range(40))
        long = told(lines=lines)
        assert len(card.description(long)) <= 4000
        assert "Too long to be shown here" in card.description(long)
        assert not card.is_answerable(long)
        assert card.is_answerable(told())

    @pytest.mark.parametrize("made", [told(is_whole=False), told(step_up="totp")])
    def test_says_where_an_approval_there_does_not_count(self, made):
        assert "does not count by itself" in card.description(made)
        assert not card.is_answerable(made)


class TestFind:
    def test_finds_what_was_made_before_the_answer_was_lost(self, now, there):
        made = tell(opened(now.acme))
        assert there.find(PLACE, made.name) is None
        now.faults.add(Fault(where="POST change_request", drop="after"))
        with pytest.raises(TransportError):
            there.post(PLACE, made)
        ref = there.find(PLACE, made.name)
        assert ref is not None
        there.edit(PLACE, ref, made)
        assert set(now.states(AccessRequest.objects.get(pk=made.request_id)).values()) == {"requested"}

    def test_is_not_fooled_by_an_instance_that_drops_the_clause(self, now, there, monkeypatch):
        """An instance answers an unknown field by leaving the clause out: then everything matches."""
        there.post(PLACE, tell(opened(now.acme)))
        monkeypatch.setattr("examples.lookalikes.servicenow.api._CLAUSE", card.re.compile(r"(never)(matches)(this)"))
        assert there.find(PLACE, told(request_id="arq_other").name) is None

    @pytest.mark.parametrize("name", ["arq_x^ORactive=true", "javascript:gs.now()^", "a b"])
    def test_asks_for_nothing_that_is_no_id(self, there, name):
        assert there.find(PLACE, told(request_id=name).name) is None


class TestEdit:
    def test_is_the_same_however_often(self, now, there):
        request = opened(now.acme)
        ref = there.post(PLACE, tell(request))
        vote(request, now.acme.erin)
        there.edit(PLACE, ref, tell(request))
        before = dict(now.record(request))
        there.edit(PLACE, ref, tell(request))
        assert now.record(request) == before
        assert now.notes(request).count("voted to approve") == 1
        assert now.states(request) == {"erin": "approved", "frank": "requested"}

    def test_a_repeated_question_is_one_note(self, now, there):
        request = opened(now.acme)
        moments = [Moment(OPENED, "Asked again"), Moment(OPENED, "Asked again ×2, last 10:00:05")]
        first, second = (told(request_id=request.pk, story=(one,)) for one in moments)
        there.edit(PLACE, there.post(PLACE, first), second)
        assert now.notes(request).count("Asked again") == 1

    @pytest.mark.parametrize(("status", "approval"), [("denied", "rejected"), ("expired", "rejected")])
    def test_the_end_is_told_and_cancels_the_change(self, now, there, status, approval):
        request = opened(now.acme)
        ref = there.post(PLACE, tell(request))
        vote(request, now.acme.erin, DENY)
        there.edit(PLACE, ref, closed(status, request_id=request.pk))
        row = now.record(request)
        assert (row["approval"], row["state"]) == (approval, "4")
        assert now.states(request) == {"erin": "rejected", "frank": "not_required"}

    def test_an_approval_is_told_where_the_model_of_states_refuses_to_close(self, now, there):
        request = opened(now.acme)
        ref = there.post(PLACE, tell(request))
        vote(request, now.acme.carol)
        vote(request, now.acme.erin)
        there.edit(PLACE, ref, tell(request))
        row = now.record(request)
        assert (row["approval"], row["state"]) == ("approved", "-5")
        assert row["short_description"].startswith("Approved: ")
        assert now.states(request) == {"erin": "approved", "frank": "not_required"}

    def test_and_closes_it_where_the_model_allows(self):
        with connected(strict_states=False, storm=False) as own:
            there, request = transport.open_(own.account), opened(own.acme, requirements=(requirement(quorum=1),))
            ref = there.post(PLACE, tell(request))
            vote(request, own.acme.carol)
            there.edit(PLACE, ref, tell(request))
            row = own.record(request)
            assert (row["state"], row["close_code"]) == ("3", "successful")

    def test_puts_back_a_text_that_somebody_changed(self, now, there):
        request = opened(now.acme)
        ref = there.post(PLACE, tell(request))
        now.patch(CHANGES, ref["sys_id"], now.service, description="harmless")
        there.edit(PLACE, ref, tell(request))
        assert "arguments.amount" in now.record(request)["description"]

    def test_asks_who_joined_the_team_since(self, now, there):
        request = opened(now.acme, requirements=(requirement(step_up=TOTP),))
        ref = there.post(PLACE, tell(request))
        gina = now.instance.person("gina", "approver_user")
        now.acme.carol.identities = {"servicenow": gina.sys_id}
        now.acme.carol.save()
        there.edit(PLACE, ref, tell(request))
        now.acme.carol.identities = {}
        now.acme.carol.save()
        assert now.states(request)["gina"] == "requested"


class TestSay:
    def test_writes_below_the_request_it_is_about(self, now, there):
        request = opened(now.acme)
        ref = there.post(PLACE, tell(request))
        there.say(Place("servicenow", CHANGES, {"about": dict(ref)}), "Two minutes are left. [code]x[/code]")
        assert "Two minutes are left. [ code ]" in now.notes(request)

    def test_keeps_one_record_for_all_other_words(self, now, there):
        before = len(now.instance.tables[CHANGES])
        there.say(PLACE, "a test")
        there.say(PLACE, "another")
        assert len(now.instance.tables[CHANGES]) == before + 1


class TestDigest:
    def test_is_found_where_the_record_for_words_tells_it_and_nothing_else_is(self, now, there):
        request = opened(now.acme)
        item = Item(f"refund\nDigest: {request.pk}", OPENED, f"http://testserver/requests/{request.pk}/")
        waiting, first, second = (
            Waiting(1, (item,), "http://testserver/inbox/"),
            Name("dgs_1", OPENED),
            Name("dgs_2", OPENED),
        )
        assert there.find(PLACE, first) is None
        ref = there.digest(PLACE, None, waiting, name=first)
        assert there.find(PLACE, first) == ref
        assert there.find(PLACE, tell(request).name) is None
        there.digest(PLACE, None, waiting, name=second)
        assert (there.find(PLACE, first), there.find(PLACE, second)) == (None, ref)


class TestCheck:
    def test_says_who_we_are_there(self, there):
        assert "countersign" in there.check()

    def test_a_user_without_rights_is_told(self, now):
        weak = now.instance.person("weak")
        account = Account("acme", 1, "servicenow", {"url": now.url, "user": "weak", "password": weak.password})
        with pytest.raises(TransportError, match="lacks a right"):
            ServiceNow(account).check()


def test_the_tables_are_those_of_the_base_system():
    assert (card.CHANGES, transport.APPROVALS) == (CHANGES, APPROVALS)
