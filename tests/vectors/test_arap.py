"""Every vector of the access request profile against this server, in the world that docs/arap-vectors.md describes."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from approvals import handle, requests
from approvals.models import AccessRequest, Approval
from enforcement import commit
from enforcement.models import Escalation
from evidence import clock
from tests.approvals.asking import DENY, vote
from tests.enforcement.machine import EVALUATION, REQUESTS, send, together
from tests.vectors import runner
from tests.vectors.runner import BadVectors, Message, Reply
from tests.worlds import SETUP, World, world

_POLICY = """
version: 1
name: vectors
rules:
  - {id: small-refunds, match: {tools: [payments.refund]}, when: 'double(arguments.amount) < 100.0', effect: allow}
  - id: refunds-over-100
    match: {tools: [payments.refund]}
    when: 'double(arguments.amount) >= 100.0'
    effect: escalate
    approval: {teams: [finance], quorum: 1, step_up: none}
  - id: transfers
    match: {tools: [payments.transfer]}
    effect: escalate
    approval: {teams: [finance], quorum: 1, step_up: none}
  - {id: no-deletes, match: {tools: [crm.delete]}, effect: deny}
"""
_FORBIDDEN = "version: 1\nname: n\nrules:\n  - {id: stop, effect: deny}\n"
_NEEDS = {"teams": ["finance"], "quorum": 1, "step_up": "none"}
_PATHS = {
    "evaluation": EVALUATION,
    "requests": REQUESTS,
    "task": REQUESTS + "/{task}",
    "cancel": REQUESTS + "/{task}/cancel",
    "discovery": "/.well-known/authzen-configuration",
    "jwks": "/access/v1/jwks",
    "schema": "/access/v1/request-schema",
}


class Ours:
    """This server, and what people and operators do to it."""

    def __init__(self) -> None:
        self._own = fixture_world()
        everybody = {"agents": ["*"], "subjects": ["identity:*"]}
        self._keys = {
            "pep": self._own.key("pep", **everybody),
            "second_pep": self._own.key("pep", **everybody),
            "agent": self._own.agent_key,
            "stranger": self._own.key("pep", agents=["billing-*"]),
            "other_tenant": fixture_world().pep_key,
            "nobody": None,
        }

    def send(self, messages: Sequence[Message]) -> Sequence[Reply]:
        replies = together([send(*self._request(message)) for message in messages])
        return [Reply(reply.status, reply.json if reply.body else None) for reply in replies]

    def do(self, deed: str, to: str) -> None:
        now = clock.now()
        match deed:
            case "approve":
                vote(AccessRequest.objects.get(pk=to), self._own.erin)
            case "deny":
                vote(AccessRequest.objects.get(pk=to), self._own.erin, DENY)
            case "expire_task":
                times = {"opened_at": now - timedelta(hours=1), "expires_at": now}
                AccessRequest.objects.filter(pk=to).update(**times)
            case "age_task":
                AccessRequest.objects.filter(pk=to).update(closed_at=now - handle.TOLD_FOR)
            case "expire_denial":
                Escalation.objects.filter(pk=to).update(expires_at=now)
            case "expire_approval":
                Approval.objects.filter(pk=to).update(expires_at=now)
            case "revoke":
                requests.revoke_approval(to, tenant_id=self._own.tenant.pk, actor=SETUP, reason="", now=now)
            case "forbid":
                self._own.with_policy(_FORBIDDEN)
            case _:
                raise NotImplementedError(deed)

    def names(self) -> Mapping[str, str]:
        return {"approver": self._own.username("erin"), "rule": "refunds-over-100"}

    def _request(self, message: Message) -> tuple[Any, ...]:
        path = _PATHS[message.endpoint].format(task=message.task)
        return message.method, path, self._keys[message.speaker], message.body, message.headers


def fixture_world() -> World:
    own = world(quorum=1, step_up="none", caps={}, policy=_POLICY)
    owned = {"owner": own.username("dana"), "team": "support", "intents": ["*"], "tool_groups": ["*"]}
    transfer = {"id": "payments.transfer", "group": "payments", "risk_tier": 3, "methods": ["tools/call"]}
    own.apply(
        agents=[{"id": "second-bot", **owned}],
        tools=[{**transfer, "owner": own.username("carol"), "approval": _NEEDS}],
    )
    return own


class _Says:
    """A server that answers each message alike: no vector may find it good."""

    def __init__(self, *, decision: bool) -> None:
        self._decision = decision

    def send(self, messages: Sequence[Message]) -> Sequence[Reply]:
        task = {"id": "t", "status": "approved", "items": [], "links": {"cancel": "c"}}
        context = {"access_request": {"expires_at": "e", "binding_token": "a.b.c"}, "evaluation_id": "e"}
        result = {"mode": "reevaluate", "approval": {"id": "a", "approved_until": "u", "state": "a.b.c"}}
        told = {"decision": self._decision, "context": context, "task": task, "result": result}
        return [Reply(200 if message.endpoint != "requests" else 202, told) for message in messages]

    def do(self, deed: str, to: str) -> None:
        """Nothing has any effect."""

    def names(self) -> Mapping[str, str]:
        return {"approver": "erin", "rule": "r"}


@pytest.fixture
def signed(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    commit.stop()  # tests before this one end sessions of the database, perhaps the writer's
    changed = settings.COUNTERSIGN.model_copy(update={"signed_references": True})
    monkeypatch.setattr(settings, "COUNTERSIGN", changed)


class TestVectors:
    def test_every_one_holds_against_this_server(self, signed: None) -> None:
        vectors = runner.load()
        shared = Ours()
        report = runner.run(vectors, lambda alone: Ours() if alone else shared)
        assert report.failures == {}
        assert report.missing(vectors) == []

    def test_more_of_them_say_what_must_be_refused_than_what_must_be_done(self) -> None:
        vectors = runner.load()
        refusals = [vector for vector in vectors if vector["negative"]]
        assert len(refusals) > len(vectors) / 2
        assert {vector["vector"] for vector in refusals} >= {
            "argument-substitution", "argument-substitution-mcp-default-mapping", "mcp-default-mapping-not-requestable"
        }  # fmt: skip

    @pytest.mark.parametrize("decision", [True, False])
    def test_none_holds_against_a_server_that_always_says_the_same(self, decision: bool) -> None:
        vectors = runner.load()
        report = runner.run(vectors, lambda _: _Says(decision=decision))
        assert report.failures.keys() == {vector["vector"] for vector in vectors}

    def test_all_seven_problem_types_and_all_that_we_tell_of_refused_approvals_are_among_them(self) -> None:
        text = "".join(path.read_text() for path in runner.FOLDER.iterdir())
        for error in ("not_requestable", "expired_denial", "invalid_denial_binding", "duplicate_request", "unknown_task",
                      "task_expired", "invalid_task_state"):  # fmt: skip
            assert f'"error": "{error}"' in text
        for reason in ("approval_expired", "out_of_scope", "policy_denied", "approval_unverifiable"):
            assert f'"/context/reason": "{reason}"' in text


class TestPage:
    """docs/arap-vectors.md, by which others write their harness, knows every word there is."""

    def test_tells_every_word_of_the_format_and_how_many_vectors_there_are(self) -> None:
        page = (runner.INDEX.parent.parent.parent / "docs" / "arap-vectors.md").read_text()
        words = runner.SPEAKERS | runner.ENDPOINTS | runner.DEEDS | runner.FORGERIES | runner._EXPECT
        assert {word for word in words if f"`{word}`" not in page} == set()
        assert f"{len(runner.load())} short stories" in page


class TestRunner:
    """A vector that is not run, or not understood, is a failure."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> Path:
        shutil.copytree(runner.FOLDER, tmp_path / "arap")
        shutil.copy(runner.INDEX, tmp_path / "arap.json")
        return tmp_path

    def load(self, files: Path) -> Any:
        return runner.load(files / "arap", files / "arap.json")

    def test_reads_what_is_there(self, files: Path) -> None:
        assert self.load(files) == runner.load()

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda files: (files / "arap" / "more.json").write_text("{}"),
            lambda files: (files / "arap" / "notes.txt").write_text(""),
            lambda files: (files / "arap" / "discovery.json").unlink(),
            lambda files: (files / "arap" / "jwks.json").write_text((files / "arap" / "discovery.json").read_text()),
            lambda files: replace(files, '"send": "jwks"', '"send": "unheard"'),
            lambda files: replace(files, '"as": "nobody"', '"as": "unheard"'),
            lambda files: replace(files, '"equal"', '"unheard"'),
            lambda files: replace(files, '"expect"', '"skip"'),
            lambda files: replace(files, '"steps"', '"skipped": true, "steps"'),
            lambda files: replace(files, '"status": [', '"present": ['),
        ],
        ids=range(10),
    )
    def test_refuses_what_it_does_not_know(self, files: Path, spoil: Any) -> None:
        spoil(files)
        with pytest.raises(BadVectors):
            self.load(files)

    def test_tells_a_vector_that_its_harness_cannot_play(self) -> None:
        vectors = [vector for vector in runner.load() if vector["vector"] == "task-denied"]

        class Unable(_Says):
            def do(self, deed: str, to: str) -> None:
                raise NotImplementedError(deed)

        assert runner.run(vectors, lambda _: Unable(decision=False)).failures.keys() == {"task-denied"}
        assert runner.Report().missing(vectors) == ["task-denied"]


def replace(files: Path, old: str, new: str) -> None:
    path = files / "arap" / "jwks.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
