"""PostgreSQL or the service is killed while many write; whatever was answered is there, and nothing by halves."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.writers import Writers
from tests.journeys.server import Place, Server, until
from tests.journeys.speakers import lookup
from tests.journeys.world import World, world
from tests.races.crowd import rounds
from tests.servers import Postgres, postgres_binaries

ROOMY = {"max_open_requests": 1000}


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A throw-away server: no other is ever killed."""
    if postgres_binaries() is None:
        pytest.skip("no PostgreSQL is installed that could be killed")
    started = Postgres.start()
    yield started
    started.stop()


@pytest.fixture
def own_place(own_postgres: Postgres, tmp_path: Path) -> Iterator[Place]:
    made = Place.postgres(tmp_path, own_postgres.url)
    yield made
    made.dispose()


def decides(acme: World) -> bool:
    return acme.pep.post("/access/v1/evaluation", lookup()).status_code == 200


class TestPostgresKilled:
    def test_abuse_132_under_eight_writers_no_acknowledged_record_is_lost(
        self, own_postgres: Postgres, own_place: Place
    ):
        with Server(own_place) as server:
            acme = world(own_place, server.url, settings=ROOMY)
            writers = Writers(acme, count=8)
            assert decides(acme)

            def power_cut() -> None:
                time.sleep(random.uniform(0.3, 1.0))
                own_postgres.kill()
                time.sleep(0.3)
                own_postgres.launch()
                until(lambda: decides(acme), seconds=30)
                time.sleep(0.3)

            for _ in range(rounds(full=20, reduced=2)):
                writers.run(power_cut)
            assert len(writers.answered) > 20
            assert writers.lost, "the power cut met nobody"
            writers.assert_kept(own_place)
            writers.ask_again()
            writers.assert_kept(own_place)
            writers.assert_nothing_half_done(own_place)


class TestServiceKilled:
    def test_abuse_130_at_random_points_of_escalations_nothing_acknowledged_is_missing(self, place: Place):
        server = Server(place).start()
        try:
            acme = world(place, server.url, settings=ROOMY)
            writers = Writers(acme, count=4)

            def murder() -> None:
                time.sleep(random.uniform(0.1, 0.8))
                server.kill()

            for _ in range(rounds(full=200, reduced=2)):
                writers.run(murder)
                server.start()
            writers.assert_kept(place)
            writers.ask_again()
            writers.assert_kept(place)
            writers.assert_nothing_half_done(place)
        finally:
            server.stop()


class TestPostgresAway:
    def test_a_service_that_was_polled_or_met_a_new_key_meanwhile_recovers(
        self, own_postgres: Postgres, own_place: Place
    ):
        with Server(own_place) as server:
            acme = world(own_place, server.url)
            request_id = acme.pep.pending()
            other = world(own_place, server.url)
            for _ in range(24):  # every thread of the pool has a connection
                acme.pep.task(request_id)
            own_postgres.kill()
            for pep in (acme.pep, other.pep) * 12:
                assert pep.post("/access/v1/evaluation", lookup()).status_code == 503
                assert pep.http.get(f"/access/v1/requests/{request_id}").status_code == 503
            own_postgres.launch()
            until(lambda: decides(other), seconds=20)
            until(lambda: decides(acme), seconds=20)
            status = [acme.pep.http.get(f"/access/v1/requests/{request_id}").status_code for _ in range(24)]
            assert status[8:] == [200] * 16
