"""The ServiceNow look-alike is as strict as what it stands for: sign-in, rights, queries, states, journals, its rule."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx2
import pytest

from examples.lookalikes.faults import Fault, Faults
from examples.lookalikes.servicenow.api import application
from examples.lookalikes.servicenow.instance import APPROVALS, CHANGES, Instance, Person
from examples.lookalikes.servicenow.rule import BusinessRule, signature
from examples.lookalikes.servicenow.serving import served


class Now:
    """One instance behind HTTP, for one test."""

    def __init__(self, url: str, instance: Instance, faults: Faults) -> None:
        self.url, self.instance, self.faults = url, instance, faults
        self.service = instance.person("countersign", "itil", "approval_admin")
        self.erin = instance.person("erin", "approver_user")

    def ask(self, method: str, path: str, given: object = None, by: Person | None = None, **query: str):
        by = by or self.service
        with httpx2.Client(auth=(by.user_name, by.password)) as client:
            return client.request(method, f"{self.url}/api/now/table/{path}", json=given, params=query)

    def change(self, **given: str) -> dict[str, str]:
        return self.ask("POST", CHANGES, {"short_description": "x", **given}).json()["result"]


@pytest.fixture
def now() -> Iterator[Now]:
    instance, faults = Instance(), Faults("servicenow")
    with served(application(instance, faults)) as url:
        yield Now(url, instance, faults)


class TestSignIn:
    @pytest.mark.parametrize("header", ["", "Basic", "Basic !!!", "Bearer x", "Basic ZXJpbjp3cm9uZw=="])
    def test_refuses_everybody_it_does_not_know(self, now, header):
        answer = httpx2.get(f"{now.url}/api/now/table/{CHANGES}", headers={"authorization": header})
        assert (answer.status_code, answer.json()["status"]) == (401, "failure")

    def test_refuses_who_left(self, now):
        gone = now.instance.person("gone", "itil", active=False)
        assert now.ask("GET", CHANGES, by=gone).status_code == 401

    def test_lets_people_change_their_own_approval_alone(self, now):
        other = now.instance.person("other", "approver_user")
        row = now.ask("POST", APPROVALS, {"approver": now.erin.sys_id}).json()["result"]
        path = f"{APPROVALS}/{row['sys_id']}"
        assert now.ask("PATCH", path, {"state": "approved"}, by=other).status_code == 403
        assert now.ask("PATCH", path, {"state": "approved"}, by=now.erin).status_code == 200
        assert now.instance.row(APPROVALS, row["sys_id"])["sys_updated_by"] == "erin"
        assert now.ask("POST", CHANGES, {}, by=now.erin).status_code == 403


class TestTables:
    def test_create_answers_201_with_its_number_and_place(self, now):
        answer = now.ask("POST", CHANGES, {"short_description": "y" * 300, "no_such_field": "z"})
        row = answer.json()["result"]
        assert answer.status_code == 201
        assert answer.headers["location"].endswith(row["sys_id"])
        assert row["number"].startswith("CHG")
        assert len(row["short_description"]) == 160
        assert "no_such_field" not in row

    def test_an_unknown_table_or_record_is_told(self, now):
        assert now.ask("GET", "no_such_table").status_code == 400
        assert now.ask("GET", f"{CHANGES}/{'0' * 32}").status_code == 404
        assert now.ask("POST", CHANGES, ["no", "object"]).status_code == 400

    def test_queries_and_drops_a_clause_it_does_not_know(self, now):
        one, two = now.change(correlation_id="a"), now.change(correlation_id="b")
        found = now.ask("GET", CHANGES, sysparm_query="correlation_id=b", sysparm_fields="sys_id").json()["result"]
        assert found == [{"sys_id": two["sys_id"]}]
        everything = now.ask("GET", CHANGES, sysparm_query="no_such=b^ORDERBYDESCnumber").json()["result"]
        assert [row["sys_id"] for row in everything] == [two["sys_id"], one["sys_id"]]
        assert len(now.ask("GET", CHANGES, sysparm_limit="1", sysparm_offset="1").json()["result"]) == 1

    def test_shows_references_as_links_unless_told_not_to(self, now):
        made = now.ask("POST", APPROVALS, {"approver": now.erin.sys_id}).json()["result"]
        path = f"{APPROVALS}/{made['sys_id']}"
        assert made["approver"]["value"] == now.erin.sys_id
        plain = now.ask("GET", path, sysparm_exclude_reference_link="true").json()["result"]
        assert plain["approver"] == now.erin.sys_id

    def test_a_journal_only_grows_and_shows_in_display_values(self, now):
        path = f"{CHANGES}/{now.change()['sys_id']}"
        for note in ("first", "second"):
            now.ask("PATCH", path, {"work_notes": note})
        assert now.ask("GET", path).json()["result"]["work_notes"] == ""
        shown = now.ask("GET", path, sysparm_display_value="true").json()["result"]["work_notes"]
        assert shown.index("second") < shown.index("first")
        both = now.ask("GET", path, sysparm_display_value="all").json()["result"]
        assert both["state"] == {"display_value": "-5", "value": "-5"}

    def test_a_change_that_changes_nothing_is_not_counted(self, now):
        path = f"{CHANGES}/{now.change(short_description='x')['sys_id']}"
        assert now.ask("PATCH", path, {"short_description": "x"}).json()["result"]["sys_mod_count"] == "0"
        assert now.ask("PATCH", path, {"short_description": "y"}).json()["result"]["sys_mod_count"] == "1"

    def test_the_model_of_states_refuses_to_skip(self, now):
        path = f"{CHANGES}/{now.change()['sys_id']}"
        assert now.ask("PATCH", path, {"state": "3"}).status_code == 403
        assert now.ask("PATCH", path, {"state": "3", "close_code": "a", "close_notes": "b"}).status_code == 403
        assert now.ask("PATCH", path, {"state": "77"}).status_code == 400
        assert now.ask("PATCH", path, {"state": "4"}).status_code == 200


class TestFaults:
    def test_answers_with_the_fault_once(self, now):
        now.faults.add(Fault(where="GET change_*", status=429, retry_after="3"))
        first = now.ask("GET", CHANGES)
        assert (first.status_code, first.headers["retry-after"]) == (429, "3")
        assert now.ask("GET", CHANGES).status_code == 200

    @pytest.mark.parametrize(("drop", "made"), [("before", 0), ("after", 1)])
    def test_drops_the_answer_before_or_after_the_effect(self, now, drop, made):
        now.faults.add(Fault(where="POST *", drop=drop))
        with pytest.raises(httpx2.HTTPError):
            now.change()
        assert len(now.instance.tables[CHANGES]) == made


class TestRule:
    def test_calls_back_signed_for_a_decision_alone(self, now):
        heard: list[tuple[bytes, dict[str, str]]] = []

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                heard.append((body, {name.lower(): value for name, value in self.headers.items()}))
                self.send_response(202)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Hook)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        rule = BusinessRule(f"http://127.0.0.1:{server.server_port}/", "secret", now.faults)
        now.instance.rules.append(rule)
        row = now.ask("POST", APPROVALS, {"approver": now.erin.sys_id, "sysapproval": "r"}).json()["result"]
        now.faults.add(Fault(where="HOOK *", duplicate=1))
        for given in ({"comments": "hm"}, {"state": "approved"}, {"state": "requested"}):
            now.ask("PATCH", f"{APPROVALS}/{row['sys_id']}", given, by=now.erin)
        rule.settle()
        server.shutdown()
        thread.join(10)
        server.server_close()
        (body, headers), again = heard
        assert json.loads(body) == {
            "sys_id": row["sys_id"], "sysapproval": "r", "state": "approved", "mod_count": "2", "updated_by": "erin",
        }  # fmt: skip
        stamp = headers["x-countersign-timestamp"]
        assert headers["x-countersign-signature"] == signature("secret", stamp, body)
        assert again[0] == body
