"""The Jira look-alike is held to what Jira documents, with the library that speaks to the real one."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator

import httpx2
import jira
import pytest
import requests

from examples.lookalikes.faults import Fault
from examples.lookalikes.jira.server import Jira
from examples.lookalikes.jira.site import Issue, Refused
from tests.lookalikes.listening import App, listening

FIELDS = {"project": {"key": "OPS"}, "issuetype": {"name": "Task"}, "summary": "Approve?", "labels": ["countersign"]}


@pytest.fixture(scope="module")
def running() -> Iterator[Jira]:
    with Jira() as server:
        server.site.add_project("OPS")
        yield server


@pytest.fixture
def server(running: Jira) -> Iterator[Jira]:
    yield running
    running.site.faults.clear()
    running.hooks.hooks.clear()
    running.site.index_delay, running.site.scoped = 0.0, False


@pytest.fixture
def issue(server: Jira) -> Issue:
    return server.site.create(dict(FIELDS), by=server.site.bot)


@pytest.fixture
def app() -> Iterator[App]:
    with listening() as heard:
        yield heard


def library(server: Jira, *, url: str = "", token: str = "") -> jira.JIRA:
    return jira.JIRA(
        url or server.url,
        basic_auth=(server.site.email, token or server.site.token),
        get_server_info=False,
        max_retries=0,
        timeout=2,
    )


def refusal(server: Jira, method: str, path: str, body: object = None, *, version: int = 2) -> httpx2.Response:
    auth = (server.site.email, server.site.token)
    return httpx2.request(method, f"{server.url}/rest/api/{version}{path}", json=body, auth=auth)


class TestApi:
    def test_refuses_another_token_and_none(self, server: Jira):
        with pytest.raises(jira.JIRAError) as caught:
            library(server, token="wrong").myself()
        assert caught.value.status_code == 401
        assert httpx2.get(f"{server.url}/rest/api/2/myself").status_code == 401

    def test_answers_who_we_are_at_the_site_and_at_the_gateway_of_scoped_tokens(self, server: Jira):
        for url in (server.url, server.scoped_url):
            assert library(server, url=url).myself()["accountId"] == server.site.bot.id
        assert library(server).server_info()["deploymentType"] == "Cloud"

    def test_lets_a_token_with_scopes_in_at_the_gateway_alone(self, server: Jira):
        server.site.scoped = True
        assert library(server, url=server.scoped_url).myself()
        with pytest.raises(jira.JIRAError):
            library(server).myself()

    def test_makes_reads_changes_and_comments_an_issue(self, server: Jira):
        client = library(server)
        made = client.create_issue(fields=FIELDS)
        assert made.fields.status.name == "To Do"
        made.update(fields={"summary": "Approved"})
        assert client.issue(made.id).fields.summary == "Approved"
        assert client.add_comment(made.id, "hello").author.accountId == server.site.bot.id
        assert [one.body for one in client.comments(made.id, order_by="-created", max_results=5)] == ["hello"]

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"project": {"key": "NONE"}}, "project"),
            ({"issuetype": {"name": "Epic"}}, "issuetype"),
            ({"summary": "two\nlines"}, "summary"),
            ({"summary": "x" * 256}, "summary"),
            ({"labels": ["a b"]}, "labels"),
            ({"description": "x" * 32_768}, "description"),
            ({"customfield_1": "x"}, "customfield_1"),
        ],
    )
    def test_refuses_fields_as_the_real_one_does(self, server: Jira, change: dict[str, object], field: str):
        answer = refusal(server, "POST", "/issue", {"fields": FIELDS | change})
        assert (answer.status_code, [*answer.json()["errors"]]) == (400, [field])

    def test_takes_documents_only_in_version_3(self, server: Jira, issue: Issue):
        answer = refusal(server, "POST", f"/issue/{issue.key}/comment", {"body": "plain"}, version=3)
        assert answer.status_code == 400

    def test_refuses_an_empty_comment_an_unknown_issue_and_no_json(self, server: Jira, issue: Issue):
        assert refusal(server, "POST", f"/issue/{issue.key}/comment", {"body": " "}).status_code == 400
        assert refusal(server, "GET", "/issue/OPS-9999").status_code == 404
        raw = httpx2.post(
            f"{server.url}/rest/api/2/issue", content=b"{", auth=(server.site.email, server.site.token)
        )  # fmt: skip
        assert raw.status_code == 400

    def test_lists_only_the_transitions_open_now_and_refuses_the_others(self, server: Jira, issue: Issue):
        client = library(server)
        assert {one["name"] for one in client.transitions(issue.key)} == {"Approve", "Decline", "Close"}
        client.transition_issue(issue.key, "11")
        assert issue.status == "Approved"
        for wrong in ("11", "999"):
            with pytest.raises(jira.JIRAError) as caught:
                client.transition_issue(issue.key, wrong)
            assert caught.value.status_code == 400
        assert refusal(server, "POST", f"/issue/{issue.key}/transitions", {"transition": {}}).status_code == 400

    def test_writes_down_who_changed_what_newest_first_and_a_hundred_at_most(self, server: Jira, issue: Issue):
        erin = server.site.add_person("Erin")
        server.site.moved_by_name(issue, "Approve", by=erin)
        for count in range(100):
            server.site.edit(issue, {"summary": f"{count}"}, by=erin)
        log = library(server).issue(issue.id, expand="changelog").raw["changelog"]
        assert (log["total"], len(log["histories"])) == (101, 100)
        newest = log["histories"][0]
        assert (newest["author"]["accountId"], newest["items"][0]["toString"]) == (erin.id, "99")
        assert (
            issue.history[0]["items"][0] | {"fromString": "To Do", "toString": "Approved"}
            == issue.history[0]["items"][0]
        )

    def test_finds_by_label_and_creator_once_the_index_knows(self, server: Jira):
        server.site.index_delay = 0.2
        client, label = library(server), "arq_findme"
        client.deploymentType = "Cloud"
        made = client.create_issue(fields=FIELDS | {"labels": [label]}, prefetch=False)
        server.site.create(FIELDS | {"labels": [label]}, by=server.site.add_person("Mallory"))
        jql = f'project = "OPS" AND labels = "{label}" AND creator = currentUser() ORDER BY created ASC'

        def found() -> list[str]:
            answer = client.enhanced_search_issues(jql, fields=[], json_result=True)
            return [one["id"] for one in answer["issues"]]

        assert found() == []
        time.sleep(0.25)
        assert found() == [made.id]

    def test_refuses_the_search_that_is_gone_and_one_without_bounds(self, server: Jira):
        assert refusal(server, "GET", "/search?jql=x").status_code == 410
        assert refusal(server, "GET", "/search/jql?jql=order+by+created", version=3).status_code == 400


class TestFaults:
    def test_answers_429_with_retry_after_and_500(self, server: Jira):
        server.site.faults.add(Fault("myself", status=429, retry_after="7"))
        server.site.faults.add(Fault("myself", status=500))
        with pytest.raises(jira.JIRAError) as caught:
            library(server).myself()
        assert (caught.value.status_code, caught.value.response.headers["Retry-After"]) == (429, "7")
        with pytest.raises(jira.JIRAError):
            library(server).myself()
        assert library(server).myself()

    @pytest.mark.parametrize(("drop", "made"), [("before", 0), ("after", 1)])
    def test_loses_the_answer_with_or_without_the_effect(self, server: Jira, drop: str, made: int):
        before = len(server.site.issues)
        server.site.faults.add(Fault("issue.create", drop=drop))
        with pytest.raises(requests.RequestException):
            library(server).create_issue(fields=FIELDS, prefetch=False)
        assert len(server.site.issues) == before + made

    def test_answers_late_and_in_pages_for_people(self, server: Jira):
        server.site.faults.add(Fault("myself", delay=0.2))
        begun = time.monotonic()
        library(server).myself()
        assert time.monotonic() - begun > 0.2
        server.site.faults.add(Fault("myself", garbage=True))
        with pytest.raises(ValueError, match="Expecting value"):
            library(server).myself()

    def test_is_gone_while_closed_and_back_at_the_same_address(self):
        with Jira() as server:
            url = server.url
            server.close()
            with pytest.raises(requests.ConnectionError):
                library(server).myself()
            server.open()
            assert server.url == url
            assert library(server).myself()


class TestWebhooks:
    def test_signs_the_raw_body_and_names_each_delivery(self, server: Jira, issue: Issue, app: App):
        server.hooks.add(app.url, "s3cret")
        server.site.comment(issue, "/approve", by=server.site.bot)
        server.site.moved_by_name(issue, "Approve", by=server.site.bot)
        server.hooks.wait()
        said, moved = app.heard
        for heard in (said, moved):
            wanted = hmac.new(b"s3cret", heard.body, hashlib.sha256).hexdigest()
            assert heard.headers["x-hub-signature"] == f"sha256={wanted}"
        assert said.payload["webhookEvent"] == "comment_created"
        assert moved.payload["changelog"]["items"][0]["toString"] == "Approved"
        names = {heard.headers["x-atlassian-webhook-identifier"] for heard in app.heard}
        assert len(names) == 2

    def test_signs_nothing_without_a_secret_and_tells_only_wanted_events(self, server: Jira, issue: Issue, app: App):
        server.hooks.add(app.url, "", events=("comment_created",))
        server.site.edit(issue, {"summary": "new"}, by=server.site.bot)
        server.site.comment(issue, "hello", by=server.site.bot)
        server.hooks.wait()
        (heard,) = app.heard
        assert "x-hub-signature" not in heard.headers

    def test_tries_again_with_the_same_name_until_it_is_taken(self, server: Jira, issue: Issue, app: App):
        app.answers = [500, 503, 200]
        server.hooks.add(app.url, "s3cret")
        server.site.comment(issue, "hello", by=server.site.bot)
        server.hooks.wait()
        assert [heard.headers.get("x-atlassian-webhook-retry") for heard in app.heard] == [None, "1", "2"]
        assert len({heard.headers["x-atlassian-webhook-identifier"] for heard in app.heard}) == 1

    def test_takes_a_refusal_for_an_answer(self, server: Jira, issue: Issue, app: App):
        app.answers = [401]
        server.hooks.add(app.url, "s3cret")
        server.site.comment(issue, "hello", by=server.site.bot)
        server.hooks.wait()
        assert len(app.heard) == 1

    def test_delivers_twice_and_again_later(self, server: Jira, issue: Issue, app: App):
        server.hooks.add(app.url, "s3cret")
        server.site.faults.add(Fault("deliver.*", duplicate=1))
        server.site.comment(issue, "hello", by=server.site.bot)
        server.hooks.wait()
        server.hooks.redeliver(server.hooks.delivered[-1])
        assert len(app.heard) == 3
        assert len({(heard.body, heard.headers["x-hub-signature"]) for heard in app.heard}) == 1


class TestPeople:
    def test_cannot_move_where_no_transition_leads(self, server: Jira, issue: Issue):
        server.site.moved_by_name(issue, "Approve", by=server.site.bot)
        with pytest.raises(Refused):
            server.site.move(issue, "21", by=server.site.bot)

    def test_leave_their_mark_on_a_comment_they_change(self, server: Jira, issue: Issue):
        erin, mallory = server.site.add_person("Erin"), server.site.add_person("Mallory")
        comment = server.site.comment(issue, "hello", by=erin)
        server.site.edit_comment(issue, comment, "/approve", by=mallory)
        shown = refusal(server, "GET", f"/issue/{issue.id}/comment").json()["comments"][0]
        assert shown["author"]["accountId"] == erin.id
        assert shown["updateAuthor"]["accountId"] == mallory.id
        assert shown["updated"] > shown["created"]

    def test_act_from_many_threads_without_losing_anything(self, server: Jira, issue: Issue):
        threads = [
            threading.Thread(target=server.site.comment, args=(issue, f"{n}"), kwargs={"by": server.site.bot})
            for n in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({comment.id for comment in issue.comments}) == 20
        assert json.dumps(server.site.shown(issue))
