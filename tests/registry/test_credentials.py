"""Keys: shown once, kept as hashes, refused at once when revoked."""

from dataclasses import replace
from datetime import timedelta

import pytest

from countersign.proof.events import Event
from evidence import clock, ledger
from registry import credentials, snapshot
from registry.models import Credential
from tests.worlds import SETUP, World, world


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


class TestParse:
    @pytest.mark.parametrize(
        "token",
        ["", "csk_", "csk_root_abcdefghijkl_" + "s" * 43, "csk_pep_short_" + "s" * 43, "csk_pep_abcdefghijkl_short",
         "csk_pep_abcdefghijkl_" + "s" * 31 + "_" + "s" * 11, "csk_pep_abcdefghijkl_" + "s" * 43 + "\n", "x" * 10_000],
    )  # fmt: skip
    def test_refuses_what_cannot_be_one_of_ours(self, token: str) -> None:
        assert credentials.parse(token) is None

    def test_takes_a_token_apart_and_does_not_print_its_secret(self, ours: World) -> None:
        presented = credentials.parse(ours.pep_key)
        assert presented
        assert presented.kind == "pep"
        assert presented.secret not in repr(presented)


class TestMatches:
    def test_refuses_another_secret_another_kind_and_another_id(self, ours: World) -> None:
        presented = credentials.parse(ours.pep_key)
        assert presented
        view = snapshot.current(ours.slug).keys[presented.key_id]
        assert credentials.matches(presented, view)
        for other in (
            replace(presented, secret=presented.secret[:-1] + ("a" if presented.secret[-1] != "a" else "b")),
            replace(presented, kind="agent"),
            replace(presented, key_id="abcdefghijkl"),
        ):
            assert not credentials.matches(other, view)
        assert not credentials.matches(presented, replace(view, kind="agent"))

    def test_a_hash_moved_to_another_row_is_worth_nothing(self, ours: World) -> None:
        token = ours.key("pep")
        mine, other = ours.credential(ours.pep_key), ours.credential(token)
        Credential.objects.filter(pk=other.pk).update(secret_hash=bytes(mine.secret_hash))
        assert credentials.authenticate(token, now=clock.now()) is None
        forged = ours.pep_key.replace(mine.key_id, other.key_id)
        assert credentials.authenticate(forged, now=clock.now()) is None


class TestIssue:
    @pytest.mark.parametrize(
        ("kind", "reach"),
        [
            ("agent", {}),
            ("agent", {"agents": ["a", "b"]}),
            ("agent", {"agents": ["a"], "subjects": ["user:*"]}),
            ("agent", {"agents": ["a"], "scopes": ["vote"]}),
            ("verifier", {"agents": ["*"]}),
            ("person", {}),
            ("pep", {"subjects": ["user"]}),
            ("pep", {"scopes": ["read"]}),
        ],
    )
    def test_refuses_a_reach_its_kind_cannot_have(self, ours: World, kind: str, reach: dict[str, list[str]]) -> None:
        with pytest.raises(credentials.BadReach):
            ours.key(kind, **reach)

    def test_refuses_unknown_scopes_and_members_of_others(self, ours: World) -> None:
        with pytest.raises(credentials.BadReach):
            ours.person_key("erin", "admin")
        with pytest.raises(credentials.BadReach):
            ours.key("person", membership=world().erin)

    def test_abuse_143_a_persons_key_votes_only_if_asked_for(self, ours: World) -> None:
        assert ours.credential(ours.person_key("erin")).scopes == ["read"]
        assert ours.credential(ours.person_key("erin", "vote")).scopes == ["read", "vote"]

    def test_a_pep_reaches_every_agent_only_if_nothing_else_is_said(self, ours: World) -> None:
        assert ours.credential(ours.pep_key).agents == ["**"]
        assert ours.credential(ours.key("pep", subjects=["user:*"])).agents == []

    def test_agents_get_brief_answers(self, ours: World) -> None:
        assert ours.credential(ours.agent_key).brief
        assert not ours.credential(ours.pep_key).brief

    def test_keeps_no_secret(self, ours: World) -> None:
        row = ours.credential(ours.pep_key)
        assert ours.pep_key.split("_")[3].encode() not in bytes(row.secret_hash)
        assert len(row.secret_hash) == 32

    def test_is_an_event_and_recompiles_nothing(self, ours: World) -> None:
        before = snapshot.current(ours.slug)
        row = ours.credential(ours.key("pep"))
        ours.tenant.refresh_from_db()
        after = snapshot.at_least(ours.slug, ours.tenant.epoch)
        assert after.registry_revision == before.registry_revision
        assert after.bundle.tools is before.bundle.tools
        history = ledger.history(ours.slug, f"registry:credential:{row.key_id}", limit=5)
        assert [entry["predicate"]["event"] for entry in history] == [Event.CREDENTIAL_ISSUED]


class TestRevoke:
    def test_is_refused_at_once_and_only_once(self, database: None) -> None:
        theirs = world()
        row = theirs.credential(theirs.pep_key)
        epoch = snapshot.current(theirs.slug).epoch
        credentials.revoke(row, actor=SETUP, now=clock.now())
        assert row.key_id not in snapshot.at_least(theirs.slug, epoch + 1).keys
        assert snapshot.tenant_of(row.key_id) is None
        assert credentials.authenticate(theirs.pep_key, now=clock.now()) is None
        with pytest.raises(credentials.AlreadyRevoked):
            credentials.revoke(row, actor=SETUP, now=clock.now())

    def test_expires_at_its_time(self, ours: World) -> None:
        moment = clock.now() + timedelta(hours=1)
        token = ours.key("pep", expires_at=moment)
        assert credentials.authenticate(token, now=moment - timedelta(microseconds=1))
        assert credentials.authenticate(token, now=moment) is None
