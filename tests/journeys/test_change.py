"""A change made in one process counts from the next request to another."""

from collections.abc import Iterator

import pytest

from tests.journeys.server import Place, Server
from tests.journeys.speakers import EVALUATION, Pep, lookup, refund
from tests.journeys.world import POLICY, World, world

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def other(place: Place) -> Iterator[Server]:
    with Server(place) as running:
        yield running


class TestChange:
    @pytest.fixture
    def both(self, place: Place, server: Server, other: Server) -> tuple[World, Pep, Pep]:
        """A tenant, and one enforcement point that speaks to either process; each has judged before."""
        acme = world(place, server.url)
        peps = Pep(server.url, acme.key), Pep(other.url, acme.key)
        for pep in peps:
            assert pep.decision(lookup())["decision"] is True
        return acme, *peps

    def test_a_policy_that_denies_counts_at_once_everywhere(self, both: tuple[World, Pep, Pep]):
        acme, *peps = both
        acme.publish(POLICY.replace("effect: allow", "effect: deny", 1).replace("expect: allow", "expect: deny", 1))
        for pep in peps:
            answer = pep.decision(lookup())
            assert (answer["decision"], answer["context"]["policy"]["revision"]) == (False, 2)
        acme.publish(POLICY)
        assert [pep.decision(lookup())["decision"] for pep in peps] == [True, True]

    def test_a_revoked_key_is_refused_at_once_everywhere(self, both: tuple[World, Pep, Pep]):
        acme, *peps = both
        acme.place.manage("revoke_key", "--tenant", acme.slug, acme.key)
        assert [pep.post(EVALUATION, lookup()).status_code for pep in peps] == [401, 401]

    def test_a_new_key_is_known_at_once_everywhere(self, both: tuple[World, Pep, Pep]):
        acme, *peps = both
        key = acme.issue("--agent", "support-bot")
        assert [Pep(pep.url, key).decision(lookup())["decision"] for pep in peps] == [True, True]

    def test_what_one_process_opened_the_other_decides_and_the_first_uses(self, both: tuple[World, Pep, Pep]):
        acme, here, there = both
        request_id = here.pending()
        assert there.pending() == request_id
        assert acme.voter("erin", url=here.url).vote(request_id).status_code == 201
        assert acme.voter("frank", url=there.url).vote(request_id).json()["status"] == "approved"
        approval = {"id": here.task(request_id)["result"]["approval"]["id"]}
        answers = [pep.decision(refund("250.00", approval=approval)) for pep in (there, here)]
        assert [answer["decision"] for answer in answers] == [True, False]
        assert answers[1]["context"]["reason"] == "approval_used"

    def test_abuse_148_an_attempt_answered_by_one_process_is_repeated_by_the_other(self, both: tuple[World, Pep, Pep]):
        _, here, there = both
        assert here.decision(refund(attempt="a-1")) == there.decision(refund(attempt="a-1"))
        assert there.post(EVALUATION, refund("11.00", attempt="a-1")).status_code == 409
