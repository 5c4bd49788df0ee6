"""One tool call asked, judged, approved by two people, executed once, and proven to a stranger."""

import json
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

from tests.journeys.conftest import NewWorld
from tests.journeys.console import ROOT
from tests.journeys.speakers import refund
from tests.journeys.world import POLICY, World


class TestTheWholeWay:
    def test_a_refund_is_asked_approved_by_two_run_once_and_proven(self, acme: World, out: Path):
        pep, erin, frank, case = acme.pep, acme.voter("erin"), acme.voter("frank"), "case-1"
        call = refund("250.00", transaction=case)

        first = pep.ask(call)
        assert (first["outcome"], first["reason"]) == ("escalate", "approval_required")
        submitted = pep.submit(call, first["evaluation_id"], why="Parcel came broken.")
        assert submitted.status_code == 202
        request_id = submitted.json()["task"]["id"]
        assert submitted.headers["location"].endswith(request_id)

        shown = erin.read(request_id)
        assert "250.00" in json.dumps(shown["display"]["lines"])
        assert "Parcel came broken." in json.dumps(shown["display"]["lines"])
        bare = erin.cast(request_id, "approve", seen=shown["display"]["hash"])
        assert bare.status_code == 401
        assert "insufficient_user_authentication" in bare.headers["www-authenticate"]
        one = erin.vote(request_id, reason="Photo seen.")
        assert (one.status_code, one.json()["status"]) == (201, "pending")
        two = frank.vote(request_id)
        assert (two.status_code, two.json()["status"]) == (201, "approved")

        told = pep.task(request_id)
        approval = {"id": told["result"]["approval"]["id"]}
        assert pep.ask(call)["reason"] == "approval_available"
        other = pep.decision(refund("251.00", transaction=case, approval=approval))
        assert (other["decision"], other["context"]["reason"]) == (False, "out_of_scope")
        used = pep.decision(refund("250.00", transaction=case, approval=approval))
        assert used["decision"] is True
        again = pep.decision(refund("250.00", transaction=case, approval=approval))
        assert (again["decision"], again["context"]["reason"]) == (False, "approval_used")

        evaluation_id = used["context"]["evaluation_id"]
        assert pep.report(evaluation_id, "committed").status_code == 409
        assert pep.report(evaluation_id, "executing").json()["status"] == "executing"
        assert pep.report(evaluation_id, "executing").status_code == 409
        assert pep.report(evaluation_id, "committed").json()["status"] == "committed"

        vkey = acme.export(out, "--transaction", case)
        assert verified(out, "--key", vkey).returncode == 0
        assert subprocess.run(["sha256sum", "--quiet", "-c", "MANIFEST.sha256"], cwd=out, check=False).returncode == 0
        events = [event for event, _, _ in records(out)]
        assert events.count("vote.cast") == 2
        assert events.count("approval.used") == 1
        assert [event for event in events if event.startswith("execution")] == ["execution.reported"] * 2
        assert_openssl_accepts(out)

        damaged = (out / "records.jsonl").read_bytes().replace(b'"payload":"eyJ', b'"payload":"eyK', 1)
        (out / "records.jsonl").write_bytes(damaged)
        assert verified(out, "--key", vkey).returncode != 0

    def test_the_people_who_are_the_agents_owner_or_not_asked_cannot_vote(self, acme: World):
        request_id = acme.pep.pending()
        for name in ("dana", "ada"):
            person = acme.voter(name)
            seen = person.read(request_id)["display"]["hash"]
            passed = person.step_up(request_id, "approve", seen=seen).json()
            refused = person.cast(request_id, "approve", seen=seen, step_up=passed["step_up"])
            assert refused.status_code == 403, refused.text

    def test_a_retry_joins_the_open_request_and_a_denial_ends_it(self, acme: World):
        pep = acme.pep
        request_id = pep.pending()
        assert pep.pending() == request_id
        assert pep.pending("251.00") != request_id
        denied = acme.voter("erin").vote(request_id, "deny", reason="No receipt.")
        assert (denied.status_code, denied.json()["status"]) == (201, "denied")
        told = pep.task(request_id)["task"]
        assert (told["status"], told["display"]["description"]) == (
            "denied",
            "The people asked said no. They wrote: No receipt.",
        )
        assert pep.pending() != request_id

    def test_a_long_poll_hears_the_decision(self, new_world: NewWorld):
        acme = new_world(approval={"quorum": 1}, policy=POLICY.replace("quorum: 2", "quorum: 1"))
        pep, erin = acme.pep, acme.voter("erin")
        request_id = pep.pending()
        with subprocess.Popen(
            [sys.executable, "-c", POLL, acme.url, acme.key, request_id], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as poll:
            assert poll.stdout
            assert poll.stdout.readline() == "asking\n"
            erin.vote(request_id)
            assert poll.stdout.readline() == "approved\n"

    def test_a_cancelled_request_takes_no_vote(self, acme: World):
        pep, erin = acme.pep, acme.voter("erin")
        request_id = pep.pending()
        seen = erin.read(request_id)["display"]["hash"]
        cancelled = pep.cancel(request_id, "customer withdrew")
        assert (cancelled.status_code, cancelled.json()["task"]["status"]) == (200, "cancelled")
        assert pep.cancel(request_id).status_code == 409
        assert erin.step_up(request_id, "approve", seen=seen).status_code == 409
        assert pep.pending() != request_id

    def test_observing_lets_a_call_through_and_says_what_would_have_been(self, new_world: NewWorld):
        acme = new_world(policy=POLICY.replace("mode: enforce", "mode: observe"))
        observed = acme.pep.decision(refund("250.00", open_request=True))
        assert observed["decision"] is True
        assert (observed["context"]["mode"], observed["context"]["outcome"]) == ("observe", "escalate")
        assert "access_request" not in observed["context"]
        assert acme.reader("erin").get("/api/v1/requests").json()["count"] == 0
        unknown = refund()
        unknown["subject"]["id"] = "nobody-bot"
        assert acme.pep.decision(unknown)["decision"] is False


# --- a stranger's tools

POLL = """
import sys
from tests.journeys.speakers import Pep
pep = Pep(sys.argv[1], sys.argv[2])
print("asking", flush=True)
print(pep.task(sys.argv[3], wait=20)["task"]["status"], flush=True)
"""


def verified(pack: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """`countersign verify`, away from the service."""
    command = [sys.executable, "-m", "countersign.cli", "verify", str(pack), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})


def records(pack: Path) -> list[tuple[str, str, dict[str, object]]]:
    """Event, thread and predicate of each record, in order."""
    found = []
    for line in (pack / "records.jsonl").read_text().splitlines():
        predicate = json.loads(b64decode(json.loads(line)["payload"]))["predicate"]
        found.append((predicate["event"], predicate["thread"]["id"], predicate))
    return found


def assert_openssl_accepts(pack: Path) -> None:
    """The very commands that README-VERIFY.md prints for one record."""
    blocks = (pack / "README-VERIFY.md").read_text().split("```sh\n")[1:]
    (script,) = [block.split("```")[0] for block in blocks if "openssl pkeyutl" in block]
    done = subprocess.run(["bash", "-ec", script], cwd=pack, capture_output=True, text=True, check=False)
    assert (done.returncode, "Signature Verified Successfully" in done.stdout) == (0, True), done.stderr
