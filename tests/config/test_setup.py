"""`manage.py setup` on databases of its own: twice is once, and the service's role may not touch evidence."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from tests import environment

ROOT = Path(__file__).parents[2]
BOOTSTRAP = {
    "COUNTERSIGN_BOOTSTRAP_TENANT": "acme",
    "COUNTERSIGN_BOOTSTRAP_ADMIN": "root",
    "COUNTERSIGN_BOOTSTRAP_EMAIL": "root@acme.test",
    "COUNTERSIGN_BOOTSTRAP_PASSWORD": "a-long-enough-word",
}


def setup(home: Path, *, flags: Sequence[str] = (), **more: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}
    variables |= {
        "COUNTERSIGN_SECRET_KEY": "k" * 60,
        "COUNTERSIGN_KEYS_DIR": str(home / "keys"),
        "COUNTERSIGN_CHECKPOINTS_DIR": str(home / "checkpoints"),
        "COUNTERSIGN_DATABASE_URL": f"sqlite:///{home}/var/c.sqlite3",
    }
    return subprocess.run(
        [sys.executable, "manage.py", "setup", *flags],
        cwd=ROOT,
        env=variables | more,
        capture_output=True,
        text=True,
        check=False,
    )


class TestOnSqlite:
    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            ({"COUNTERSIGN_BOOTSTRAP_EMAIL": ""}, "COUNTERSIGN_BOOTSTRAP_EMAIL"),
            ({"COUNTERSIGN_BOOTSTRAP_PASSWORD": "short"}, "COUNTERSIGN_BOOTSTRAP_PASSWORD"),
            ({"COUNTERSIGN_BOOTSTRAP_ADMIN": "Root!"}, "COUNTERSIGN_BOOTSTRAP_ADMIN"),
        ],
    )
    def test_names_the_variable_that_is_wrong(self, tmp_path: Path, wrong: Mapping[str, str], named: str) -> None:
        done = setup(tmp_path, **(BOOTSTRAP | wrong))
        assert done.returncode == 1
        assert named in done.stderr

    def test_does_not_replace_lost_keys_in_silence(self, tmp_path: Path) -> None:
        setup(tmp_path, **BOOTSTRAP)
        (tmp_path / "keys" / "box.key").unlink()
        done = setup(tmp_path)
        assert done.returncode == 1
        assert "box.key" in done.stderr
        assert not (tmp_path / "keys" / "box.key").exists()
        assert setup(tmp_path, flags=["--new-keys"]).returncode == 0

    def test_twice_is_once(self, tmp_path: Path) -> None:
        first, second = setup(tmp_path, **BOOTSTRAP), setup(tmp_path, **BOOTSTRAP)
        assert "Made: tenant acme, administrator root." in first.stdout, first.stderr
        assert "tamper-evident, not tamper-resistant" in first.stdout
        assert "Tenant acme is there." in second.stdout
        assert "Keys are there." in second.stdout


@pytest.mark.postgres
class TestOnPostgres:
    @pytest.fixture
    def owner_and_runtime(self) -> Iterator[tuple[str, str]]:
        assert environment.DATABASE_URL
        name, password = f"countersign_setup_{secrets.token_hex(4)}", secrets.token_hex(8)
        parts = urlsplit(environment.DATABASE_URL)
        with psycopg.connect(environment.DATABASE_URL, autocommit=True) as server:
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            place = parts.netloc.rpartition("@")[2]
            yield (
                urlunsplit(parts._replace(path=f"/{name}")),
                urlunsplit(parts._replace(netloc=f"{name}:{password}@{place}", path=f"/{name}")),
            )
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            server.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))

    def test_refuses_one_role_for_both(self, tmp_path: Path, owner_and_runtime: tuple[str, str]) -> None:
        owner, _ = owner_and_runtime
        done = setup(tmp_path, COUNTERSIGN_DATABASE_URL=owner, COUNTERSIGN_MIGRATOR_DATABASE_URL=owner)
        assert done.returncode == 1
        assert "must name different roles" in done.stderr

    def test_the_services_role_may_add_evidence_and_no_more(
        self, tmp_path: Path, owner_and_runtime: tuple[str, str]
    ) -> None:
        owner, runtime = owner_and_runtime
        urls = {"COUNTERSIGN_DATABASE_URL": runtime, "COUNTERSIGN_MIGRATOR_DATABASE_URL": owner}
        for _ in range(2):
            done = setup(tmp_path, **urls, **BOOTSTRAP)
            assert "may only add to evidence" in done.stdout, done.stderr
        with psycopg.connect(runtime, autocommit=True) as service:
            assert service.execute("SELECT count(*) FROM evidence_record").fetchone() == (2,)
            for forbidden in (
                "DELETE FROM evidence_record",
                "UPDATE evidence_record SET n = 7",
                "DROP TABLE evidence_record",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    service.execute(forbidden)
