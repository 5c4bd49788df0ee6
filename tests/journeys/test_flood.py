"""An agent that asks without end: people see one request for one action, and no more open ones than the limit."""

from tests.journeys.conftest import NewWorld
from tests.journeys.speakers import REQUESTS, refund

LIMIT = 10


class TestFlood:
    def test_abuse_059_two_hundred_asks_are_joined_or_capped_before_they_reach_anybody(self, new_world: NewWorld):
        acme = new_world(settings={"max_open_requests": LIMIT})
        pep, erin = acme.pep, acme.reader("erin")
        same = {pep.pending() for _ in range(100)}
        assert len(same) == 1
        answers = [pep.ask(refund(f"{amount}.00", open_request=True)) for amount in range(300, 400)]
        opened = [one["access_request"]["task"]["id"] for one in answers if "task" in one["access_request"]]
        assert len(opened) == LIMIT - 1
        assert {one["outcome"] for one in answers} == {"escalate"}
        assert erin.get("/api/v1/requests?status=pending").json()["count"] == LIMIT

        refused = pep.submit(refund("399.00"), answers[-1]["evaluation_id"])
        assert (refused.status_code, refused.headers["content-type"]) == (429, "application/problem+json")
        assert int(refused.headers["retry-after"]) > 0
        assert pep.cancel(same.pop()).status_code == 200
        assert pep.submit(refund("399.00"), answers[-1]["evaluation_id"]).status_code == 202
        assert pep.http.get(REQUESTS).status_code in {404, 405}  # an agent cannot list what others wait for
