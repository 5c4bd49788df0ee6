"""What an operator types, with the answers they read."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from evidence import clock
from registry import bootstrap, credentials, sign_in
from registry.models import Credential, Membership, Release, Tenant
from tests.worlds import POLICY, SETUP, World, world


@pytest.fixture
def ours(database: None) -> World:
    return world()


def run(*words: str) -> str:
    out, err = StringIO(), StringIO()
    call_command(*words, stdout=out, stderr=err)
    return out.getvalue().strip() + err.getvalue()


class TestApply:
    def test_says_what_is_wrong_where(self, ours: World, tmp_path: Path) -> None:
        file = tmp_path / "b.yaml"
        file.write_text(f"tenant: {ours.slug}\nteam: []\n")
        with pytest.raises(CommandError, match=r"b\.yaml:2:1: unknown key 'team'; did you mean 'teams'"):
            run("apply", "-f", str(file))

    @pytest.mark.parametrize("missing", ["gone.yaml", "."])
    def test_says_that_there_is_nothing_to_apply(self, tmp_path: Path, missing: str) -> None:
        with pytest.raises(CommandError, match=r"Cannot read|holds no blueprint"):
            run("apply", "-f", str(tmp_path / missing))

    def test_dry_run_then_apply_then_nothing(self, ours: World, tmp_path: Path) -> None:
        file = tmp_path / "b.yaml"
        file.write_text(f"tenant: {ours.slug}\nteams: [{{name: ops}}]\n")
        assert run("apply", "-f", str(file), "--dry-run").endswith("1 change (dry run: nothing was changed)")
        assert not ours.tenant.teams.filter(name="ops").exists()
        assert "+ team ops" in run("apply", "-f", str(file))
        assert run("apply", "-f", str(file)) == f"{ours.slug}: nothing to change"


class TestKeys:
    @pytest.mark.parametrize(
        "words",
        [
            ("--agent", "nobody"),
            ("--person", "nobody"),
            ("--agent", "support-bot", "--agents", "*"),
            ("--verifier", "v", "--subjects", "user:*"),
            ("--pep", "p", "--subjects", "user"),
            ("--pep", "p", "--expires", "tomorrow"),
            ("--pep", "p", "--agent", "support-bot"),
            (),
        ],
    )
    def test_refuses_what_makes_no_sense(self, ours: World, words: tuple[str, ...]) -> None:
        before = Credential.objects.filter(tenant=ours.tenant).count()
        with pytest.raises(CommandError):
            run("issue_key", "--tenant", ours.slug, *words)
        assert Credential.objects.filter(tenant=ours.tenant).count() == before

    def test_prints_the_key_and_nothing_else(self, ours: World) -> None:
        token = run(
            "issue_key", "--tenant", ours.slug, "--pep", "edge", "--agents", "support-*", "--subjects", "user:*"
        )
        row = credentials.authenticate(token, now=clock.now())
        assert row
        assert (row.kind, row.name, row.agents, row.subjects) == ("pep", "edge", ["support-*"], ["user:*"])

    def test_a_persons_key_votes_only_if_the_scope_says_so(self, ours: World) -> None:
        words = ("issue_key", "--tenant", ours.slug, "--person", ours.username("erin"))
        assert ours.credential(run(*words)).scopes == ["read"]
        for asked in ("vote", "read,vote"):
            assert ours.credential(run(*words, "--scope", asked)).scopes == ["read", "vote"]
        with pytest.raises(CommandError, match="no such scope: admin"):
            run(*words, "--scope", "admin")

    def test_revokes_by_id_or_by_the_whole_key(self, ours: World) -> None:
        key_id = ours.credential(ours.pep_key).key_id
        assert f"Revoked pep key {key_id}" in run("revoke_key", "--tenant", ours.slug, key_id)
        run("revoke_key", "--tenant", ours.slug, ours.agent_key)
        with pytest.raises(CommandError, match="revoked already"):
            run("revoke_key", "--tenant", ours.slug, key_id)

    def test_abuse_057_revokes_no_key_of_another_tenant(self, ours: World) -> None:
        with pytest.raises(CommandError, match="has no key"):
            run("revoke_key", "--tenant", ours.slug, world().pep_key)


class TestSignInLink:
    def test_refuses_strangers(self, database: None) -> None:
        with pytest.raises(CommandError, match="No active person"):
            run("sign_in_link", "nobody")

    def test_prints_a_link_that_works_once(self, ours: World) -> None:
        out, err = StringIO(), StringIO()
        call_command("sign_in_link", ours.username("erin"), stdout=out, stderr=err)
        assert sign_in.redeem(out.getvalue().strip().rpartition("/")[2], now=clock.now()) == ours.erin.user
        assert err.getvalue() == f"Good once, for {sign_in.LIFETIME.seconds // 60} minutes:\n"


class TestPolicy:
    def test_check_changes_nothing(self, ours: World, tmp_path: Path) -> None:
        file = tmp_path / "p.yaml"
        file.write_text(POLICY + "# changed\n")
        assert "4 rules" in run("policy", "check", str(file), "--tenant", ours.slug)
        assert Release.objects.filter(tenant=ours.tenant).count() == 1

    def test_check_tells_every_mistake(self, ours: World, tmp_path: Path) -> None:
        file = tmp_path / "p.yaml"
        file.write_text("version: 2\nrules: [{id: a, effect: alow}]\n")
        with pytest.raises(CommandError, match=r"(?s)p\.yaml:1:10.*p\.yaml:2:25"):
            run("policy", "check", str(file), "--tenant", ours.slug)

    def test_publish_puts_it_in_force_and_status_says_so(self, ours: World, tmp_path: Path) -> None:
        file = tmp_path / "p.yaml"
        file.write_text(POLICY + "# changed\n")
        assert "revision 2 is in force" in run("policy", "publish", str(file), "--tenant", ours.slug)
        assert f"{ours.slug}: revision 2, sha256:" in run("policy", "status", "--tenant", ours.slug)

    @pytest.mark.parametrize("verb", ["check", "publish"])
    def test_a_policy_that_fails_its_own_tests_is_refused(self, ours: World, tmp_path: Path, verb: str) -> None:
        """Against what is registered here: the same file may pass elsewhere."""
        file = tmp_path / "p.yaml"
        file.write_text(failing := POLICY.replace('amount: "99.99"', 'amount: "100.01"'))
        line = failing[: failing.index("- name: a small refund runs")].count("\n") + 1
        said = rf"p\.yaml:{line}:5: test 'a small refund runs' fails: expected allow, got escalate"
        with pytest.raises(CommandError, match=said):
            run("policy", verb, str(file), "--tenant", ours.slug)
        assert Release.objects.filter(tenant=ours.tenant).count() == 1

    def test_abuse_140_status_names_a_refused_release(self, ours: World) -> None:
        Release.objects.filter(tenant=ours.tenant).update(source="version: 1\nrules: []\n")
        with pytest.raises(CommandError, match="not what was signed"):
            run("policy", "status", "--tenant", ours.slug)

    def test_status_of_a_tenant_without_one(self, database: None) -> None:
        tenant = Tenant.objects.create(slug=f"bare-{world().suffix}", name="bare", created_at=clock.now())
        assert "every call is denied" in run("policy", "status", "--tenant", tenant.slug)


class TestBootstrap:
    def test_makes_a_tenant_and_its_administrator_once(self, database: None) -> None:
        suffix = world().suffix
        how = {
            "slug": f"first-{suffix}", "admin": f"root-{suffix}", "email": f"root-{suffix}@acme.test",
            "password": "a-long-enough-word", "actor": SETUP, "now": clock.now(),
        }  # fmt: skip
        assert bootstrap.bootstrap(**how) == [f"tenant first-{suffix}", f"administrator root-{suffix}"]
        assert bootstrap.bootstrap(**how | {"password": "another-long-word"}) == []
        row = Membership.objects.get(tenant__slug=f"first-{suffix}")
        assert row.roles == ["admin"]
        assert row.user.check_password("a-long-enough-word")

    def test_gives_no_password_to_a_login_that_has_one(self, ours: World) -> None:
        ours.erin.user.set_password("her-own-long-word")
        ours.erin.user.save()
        bootstrap.bootstrap(
            slug=ours.slug + "-2", admin=ours.username("erin"), email=ours.erin.user.email, password="not-hers-at-all",
            actor=SETUP, now=clock.now(),
        )  # fmt: skip
        ours.erin.user.refresh_from_db()
        assert ours.erin.user.check_password("her-own-long-word")
