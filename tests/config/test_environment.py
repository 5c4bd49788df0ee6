"""A wrong setting names its variable, all of them at once; a misspelt one is not silently ignored."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import checks
from config.environment import Environment, environment, unknown_variables


@pytest.fixture(autouse=True)
def _read_anew():
    environment.cache_clear()
    yield
    environment.cache_clear()


class TestEnvironment:
    def test_names_every_wrong_variable_at_once(self, monkeypatch):
        wrong = {"BASE_URL": "nowhere", "LOG_LEVEL": "LOUD", "DATABASE_URL": "mysql://x", "ENROLMENT_COOLDOWN": "soon",
                 "ALLOWED_HOSTS": "*", "REDIS_URL": "http://x", "BODY_LIMIT": "tiny"}  # fmt: skip
        for name, value in wrong.items():
            monkeypatch.setenv(f"COUNTERSIGN_{name}", value)
        with pytest.raises(ImproperlyConfigured) as raised:
            environment()
        for name in wrong:
            assert f"COUNTERSIGN_{name}:" in str(raised.value)

    def test_refuses_a_short_secret_outside_a_try_out(self, monkeypatch):
        monkeypatch.setenv("COUNTERSIGN_DATABASE_URL", "postgresql://db/countersign")
        monkeypatch.setenv("COUNTERSIGN_SECRET_KEY", "short")
        with pytest.raises(ImproperlyConfigured, match="COUNTERSIGN_SECRET_KEY"):
            environment()

    def test_refuses_a_value_given_twice(self, monkeypatch, tmp_path):
        (tmp_path / "url").write_text("https://one.test")
        monkeypatch.setenv("COUNTERSIGN_BASE_URL", "https://two.test")
        monkeypatch.setenv("COUNTERSIGN_BASE_URL_FILE", str(tmp_path / "url"))
        with pytest.raises(ImproperlyConfigured, match="COUNTERSIGN_BASE_URL_FILE"):
            environment()

    def test_names_a_secret_file_that_cannot_be_read(self, monkeypatch, tmp_path):
        monkeypatch.setenv("COUNTERSIGN_LOG_LEVEL_FILE", str(tmp_path / "missing"))
        with pytest.raises(ImproperlyConfigured, match="COUNTERSIGN_LOG_LEVEL_FILE"):
            environment()

    def test_takes_a_secret_from_a_mounted_file(self, monkeypatch, tmp_path):
        (tmp_path / "url").write_text("https://countersign.example.test\n")
        monkeypatch.delenv("COUNTERSIGN_BASE_URL")
        monkeypatch.setenv("COUNTERSIGN_BASE_URL_FILE", str(tmp_path / "url"))
        assert environment().base_url == "https://countersign.example.test"

    def test_makes_a_try_out_its_own_secret_once(self, tmp_path):
        given = Environment(secret_key="", database_url="sqlite:///x", keys_dir=tmp_path / "keys")
        assert len(given.django_secret()) > 50
        assert given.django_secret() == given.django_secret()
        assert (tmp_path / "keys" / "django.secret").stat().st_mode & 0o077 == 0


class TestUnknownVariables:
    def test_finds_a_misspelt_name(self):
        assert unknown_variables({"COUNTERSIGN_BASE_URI": "x"}) == ["COUNTERSIGN_BASE_URI"]

    def test_leaves_known_names_and_other_programs_alone(self):
        fine = {
            "COUNTERSIGN_BASE_URL": "",
            "COUNTERSIGN_SECRET_KEY_FILE": "",
            "COUNTERSIGN_TEST_REDIS_URL": "",
            "PATH": "",
        }
        assert unknown_variables(fine) == []


class TestProbePrivate:
    def test_is_off_and_its_being_on_is_told(self, monkeypatch):
        assert not environment().probe_private
        assert "countersign.W002" not in {found.id for found in checks.pairs(None)}
        environment.cache_clear()
        monkeypatch.setenv("COUNTERSIGN_PROBE_PRIVATE", "true")
        assert environment().probe_private
        assert "countersign.W002" in {found.id for found in checks.pairs(None)}


class TestTrust:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("TRUSTED_PROXIES", "everybody"), ("TRUSTED_PROXIES", "0.0.0.0/0"), ("TRUSTED_PROXIES", "10.0.0.1, ::/0"),
            ("ISSUER_NETWORKS", "10.0.0.1/8"), ("CLIENT_CERT_HEADER", "x y"), ("CLIENT_CERT_HEADER", ""),
            ("CLIENT_CERT_HEADER", "X-Forwarded-For"), ("CLIENT_CERT_HEADER", "authorization"),
            ("CLIENT_CERT_FORMAT", "pem"),
        ],
    )  # fmt: skip
    def test_is_given_to_somebody_in_particular(self, monkeypatch, name, value):
        monkeypatch.setenv(f"COUNTERSIGN_{name}", value)
        with pytest.raises(ImproperlyConfigured, match=f"COUNTERSIGN_{name}"):
            environment()

    def test_is_given_to_nobody_unasked(self):
        given = environment()
        assert (given.trusted_proxies, given.issuer_networks) == ("", "")
        assert (given.client_cert_header, given.client_cert_format) == ("x-forwarded-client-cert", "xfcc")
