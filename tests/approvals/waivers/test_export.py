"""One waiver's whole life as a pack: verified without the server, and a step that is missing is named."""

import io
import tarfile
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.http import HttpResponse

from approvals.models import Waiver
from approvals.waivers import ending, exporting
from countersign.proof.events import Event
from evidence import clock, keys, seal, sink
from evidence.keys import Purpose
from evidence.models import Record
from tests.approvals.browsing import by_key, post
from tests.approvals.test_api import problem
from tests.approvals.waivers.excepting import asked, call, easy, granted
from tests.evidence.tampering import tampering
from tests.evidence.test_packs import failure
from tests.worlds import World


@pytest.fixture
def ours(database: None) -> World:
    return easy()


@pytest.fixture
def over(ours: World) -> Waiver:
    """Asked for, granted, used twice, revoked; something else happened in between."""
    waiver = granted(ours, max_uses=5)
    call(ours, transaction="case-1")
    asked(ours)
    call(ours, transaction="case-2")
    ending.revoke(waiver.pk, tenant_id=ours.tenant.pk, by=ours.carol, why="done", now=clock.now())
    waiver.refresh_from_db()
    return waiver


def export(own: World, out: Path, waiver_id: str, *more: str) -> None:
    call_command(
        "export_evidence", "--tenant", own.slug, "--out", str(out), "--waiver", waiver_id, *more, stdout=io.StringIO()
    )


def pack(own: World, waiver: Waiver, name: str = "ada", *scopes: str) -> HttpResponse:
    return post(by_key(own, name, *(scopes or ("read", "vote"))), f"/api/v1/waivers/{waiver.pk}/pack", {})


def told(own: World, waiver: Waiver) -> list[str]:
    """The events of the waiver's thread, the first first."""
    records = Record.objects.filter(log=own.slug, thread=waiver.request_id).order_by("n")
    return list(records.values_list("event", flat=True))


class TestCommand:
    def test_writes_every_step_and_nothing_else_and_it_verifies(
        self, ours: World, over: Waiver, tmp_path: Path
    ) -> None:
        export(ours, tmp_path / "pack", over.pk)
        against = sink.kept(ours.slug, newest=1)[0]
        assert failure(tmp_path / "pack", key=keys.signer(Purpose.SEALER).vkey, against=against) == ""
        records = (tmp_path / "pack" / "records.jsonl").read_text().splitlines()
        steps = told(ours, over)
        assert len(records) == len(steps)
        life = ["waiver.requested", "waiver.granted", "decision.made", "decision.made", "waiver.revoked"]
        assert [step for step in steps if step in life] == life

    @pytest.mark.parametrize(
        "event", [Event.WAIVER_REQUESTED, Event.VOTE_CAST, Event.WAIVER_GRANTED, Event.DECISION_MADE]
    )
    def test_abuse_149_a_step_that_is_missing_is_named(
        self, ours: World, over: Waiver, tmp_path: Path, event: Event
    ) -> None:
        seal.seal_due(ours.slug)
        n = told(ours, over).index(event.value)
        with tampering() as cursor:
            cursor.execute(
                "DELETE FROM evidence_record WHERE log = %s AND thread = %s AND n = %s", [ours.slug, over.request_id, n]
            )
        export(ours, tmp_path / "pack", over.pk)
        assert failure(tmp_path / "pack").startswith(f"threads: thread {over.request_id}: step {n} is missing")

    def test_abuse_057_knows_no_waiver_of_another_tenant(self, ours: World, tmp_path: Path) -> None:
        theirs = asked(easy())
        with pytest.raises(CommandError, match="has no waiver"):
            export(ours, tmp_path / "pack", theirs.pk)
        assert not (tmp_path / "pack").exists()

    def test_leaves_out_arguments_if_told_to(self, ours: World, over: Waiver, tmp_path: Path) -> None:
        export(ours, tmp_path / "with", over.pk)
        export(ours, tmp_path / "without", over.pk, "--no-arguments")
        assert list((tmp_path / "with" / "args").iterdir())
        assert not (tmp_path / "without" / "args").exists() or not list((tmp_path / "without" / "args").iterdir())
        assert failure(tmp_path / "without") == ""


class TestApi:
    def test_gives_an_auditor_a_pack_that_verifies(self, ours: World, over: Waiver, tmp_path: Path) -> None:
        response = pack(ours, over)
        assert (response.status_code, response["Content-Type"]) == (200, "application/gzip")
        assert f"{over.pk}.tar.gz" in response["Content-Disposition"]
        out = tmp_path / "pack.tar.gz"
        out.write_bytes(response.content)
        assert tarfile.is_tarfile(out)
        assert failure(out, key=keys.signer(Purpose.SEALER).vkey) == ""

    def test_is_recorded_with_who_it_was_for(self, ours: World, over: Waiver) -> None:
        pack(ours, over)
        made = Record.objects.filter(log=ours.slug, event=Event.EXPORT_MADE.value)
        assert f'"id":"{ours.username("ada")}"'.encode() in bytes(made.get().body)

    def test_refuses_who_reads_no_evidence(self, ours: World, over: Waiver) -> None:
        assert problem(pack(ours, over, "erin"))[0] == 403
        assert problem(pack(ours, over, "ada", "read"))[0] == 403
        assert not Record.objects.filter(log=ours.slug, event=Event.EXPORT_MADE.value).exists()

    def test_abuse_057_knows_no_waiver_of_another_tenant(self, ours: World) -> None:
        assert problem(pack(ours, asked(easy()))) == (404, "unknown-waiver")

    def test_refuses_what_nobody_could_wait_for(
        self, ours: World, over: Waiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exporting, "AT_MOST", 1)
        assert problem(pack(ours, over)) == (409, "too-much")
