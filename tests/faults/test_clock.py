"""This machine's clock is wrong, or nobody is there to close what is over: time is the database's."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.journeys.server import NOBODY, Place, Server, until
from tests.journeys.speakers import Pep, refund
from tests.journeys.world import World, world

HOUR = 3600
SHORT = {"expires_in": "3s", "approved_for": "2s"}


def wrong_by(seconds: int) -> dict[str, str]:
    """Settings of a process whose clock is off."""
    path = [str(Path(__file__).parent / "shifted"), os.environ.get("PYTHONPATH", "")]
    return {"SHIFTED_CLOCK": str(seconds), "PYTHONPATH": os.pathsep.join(filter(None, path))}


@pytest.fixture(scope="module")
def fast(place: Place) -> Iterator[Server]:
    with Server(place, COUNTERSIGN_REDIS_URL=NOBODY, **wrong_by(HOUR)) as running:
        yield running


@pytest.fixture(scope="module")
def slow(place: Place) -> Iterator[Server]:
    with Server(place, COUNTERSIGN_REDIS_URL=NOBODY, **wrong_by(-HOUR)) as running:
        yield running


def pep_at(server: Server, acme: World) -> Pep:
    return Pep(server.url, acme.key)


class TestWrongClock:
    def test_the_clock_of_these_processes_is_wrong(self, place: Place):
        say = "import time, datetime as d; print(time.time()); print(d.datetime.now(d.UTC).timestamp())"
        told = subprocess.run(
            [sys.executable, "-c", say], env={**place.environment, **wrong_by(HOUR)}, capture_output=True, check=True
        ).stdout
        for said in told.split():
            assert abs(float(said) - time.time() - HOUR) < 60

    def test_abuse_137_windows_of_caps_are_the_databases(self, place: Place, fast: Server, slow: Server):
        acme = world(place, fast.url, caps={"rate": ["3/hour"]})
        until(lambda: datetime.now(UTC).minute < 59 or datetime.now(UTC).second < 45)  # not across the hour
        outcomes = [pep_at(server, acme).ask(refund())["outcome"] for server in (fast, slow, fast, slow)]
        assert outcomes == ["allow", "allow", "allow", "deny"]

    def test_abuse_137_an_answer_tells_the_databases_time(self, place: Place, fast: Server, slow: Server):
        acme = world(place, fast.url)
        for server in (fast, slow):
            told = pep_at(server, acme).ask(refund("250.00", open_request=True))
            ((now,),) = place.rows("SELECT clock_timestamp()")
            assert isinstance(now, datetime)
            assert abs(datetime.fromisoformat(told["evaluated_at"]) - now) < timedelta(minutes=1)
            ends = datetime.fromisoformat(told["access_request"]["task"]["expires_at"])
            assert timedelta(minutes=13) < ends - now < timedelta(minutes=16)

    def test_abuse_137_a_fast_clock_ends_nothing_early(self, place: Place, fast: Server):
        acme = world(place, fast.url)
        request_id = acme.pep.pending()
        for name in ("erin", "frank"):
            assert acme.voter(name).vote(request_id).status_code == 201
        approval = {"id": acme.pep.task(request_id)["result"]["approval"]["id"]}
        assert acme.pep.decision(refund("250.00", approval=approval))["decision"] is True

    def test_abuse_137_a_slow_clock_and_no_pump_revive_nothing(self, place: Place, slow: Server):
        acme = world(place, slow.url, approval=SHORT)
        pep, erin, frank = acme.pep, acme.voter("erin"), acme.voter("frank")
        answered = pep.pending("300.00")
        for person in (erin, frank):
            assert person.vote(answered).status_code == 201
        request_id = pep.pending()
        seen = erin.read(request_id)["display"]["hash"]
        time.sleep(3.2)
        assert erin.step_up(request_id, "approve", seen=seen).status_code == 409
        assert erin.cast(request_id, "deny", seen=seen).status_code == 409
        assert pep.cancel(request_id).status_code == 409
        approval = {"id": pep.task(answered)["result"]["approval"]["id"]}
        late = pep.decision(refund("300.00", approval=approval))
        assert (late["decision"], late["context"]["reason"]) == (False, "approval_expired")
        assert pep.pending() != request_id  # which closes the old one, once
        count = "SELECT count(*) FROM evidence_record WHERE log = %s AND event = 'request.expired'"
        assert place.rows(count, acme.slug) == [(1,)]
