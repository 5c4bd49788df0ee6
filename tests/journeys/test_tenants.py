"""Two tenants use the same names for everything, and nothing of the one is ever seen or moved by the other."""

from tests.journeys.conftest import NewWorld
from tests.journeys.speakers import EVALUATION, lookup, refund


class TestTwoTenants:
    def test_abuse_026_057_the_same_ids_in_both_and_nothing_crosses(self, new_world: NewWorld):
        ours, theirs = new_world(), new_world()
        same = {"attempt": "try-1", "session": "s-1", "transaction": "case-1"}
        mine, other = ours.pep, theirs.pep

        allowed, as_well = mine.ask(lookup(**same)), other.ask(lookup(**same))
        assert allowed["evaluation_id"] != as_well["evaluation_id"]
        assert allowed["action_digest"] != as_well["action_digest"]
        assert other.report(allowed["evaluation_id"], "executing").status_code == 404

        call = refund("250.00", session="s-1", transaction="case-1")
        first, second = mine.ask(call), other.ask(call)
        assert other.submit(call, first["evaluation_id"], key="k").status_code == 400
        request_id = mine.submit(call, first["evaluation_id"], key="k").json()["task"]["id"]
        another = other.submit(call, second["evaluation_id"], key="k").json()["task"]["id"]
        assert another != request_id
        assert other.http.get(f"/access/v1/requests/{request_id}").status_code == 404
        assert other.cancel(request_id).status_code == 404

        stranger = theirs.voter("erin")
        assert stranger.get(f"/api/v1/requests/{request_id}").status_code == 404
        seen = stranger.read(another)["display"]["hash"]
        assert stranger.step_up(request_id, "approve", seen=seen).status_code == 404
        assert stranger.cast(request_id, "deny", seen=seen).status_code == 404
        assert [row["id"] for row in stranger.get("/api/v1/requests").json()["results"]] == [another]

        for name in ("erin", "frank"):
            assert ours.voter(name).vote(request_id).status_code == 201
        approval = {"id": mine.task(request_id)["result"]["approval"]["id"]}
        stolen = other.decision({**call, "context": {**call["context"], "approval": approval}})
        guessed = other.decision({**call, "context": {**call["context"], "approval": {"id": "apr_nobodys"}}})
        assert (stolen["decision"], stolen["context"]["reason"]) == (False, guessed["context"]["reason"])
        own = mine.decision({**call, "context": {**call["context"], "approval": approval}})
        assert own["decision"] is True

        auditor = theirs.reader("ada")
        assert auditor.get(f"/api/v1/records/{allowed['evaluation_id']}").status_code == 404
        assert auditor.get(f"/api/v1/records/{as_well['evaluation_id']}").status_code == 200

    def test_machines_and_people_stay_on_their_own_side(self, new_world: NewWorld):
        acme = new_world()
        agent_key = acme.issue("--agent", "support-bot")
        for path in ("/api/v1/requests", "/api/v1/no-such-thing"):
            assert acme.pep.http.get(path).status_code == 403
            assert acme.pep.http.get(path, headers={"authorization": f"Bearer {agent_key}"}).status_code == 403
        person = acme.reader("erin")
        assert person.http.post(EVALUATION, json=lookup()).status_code in {401, 403}
