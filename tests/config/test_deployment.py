"""The compose file keeps what it promises: no secret has a default, nothing of ours runs as root or writes its image."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES = yaml.safe_load(TEXT)["services"]
OURS = ["setup", "web", "pdp", "worker", "beat", "slack_socket"]


class TestCompose:
    @pytest.mark.parametrize("secret", ["COUNTERSIGN_SECRET_KEY", "COUNTERSIGN_DB_PASSWORD", "POSTGRES_PASSWORD"])
    def test_demands_every_secret(self, secret):
        uses = re.findall(rf"\${{{secret}([^}}]*)}}", TEXT)
        assert uses
        assert all(use.startswith(":?") for use in uses)

    @pytest.mark.parametrize("name", OURS)
    def test_runs_our_services_without_rights(self, name):
        service = SERVICES[name]
        assert service["user"] == "10001:10001"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]

    @pytest.mark.parametrize("name", [name for name in SERVICES if name != "setup"])
    def test_asks_every_service_whether_it_is_well(self, name):
        assert SERVICES[name]["healthcheck"]["test"]

    @pytest.mark.parametrize("name", [name for name in OURS if name != "setup"])
    def test_gives_only_setup_the_owner_of_the_tables(self, name):
        assert "COUNTERSIGN_MIGRATOR_DATABASE_URL" not in SERVICES[name]["environment"]
        assert "COUNTERSIGN_MIGRATOR_DATABASE_URL" in SERVICES["setup"]["environment"]

    @pytest.mark.parametrize("name", OURS)
    def test_passes_every_setting_on_that_an_operator_wrote_down(self, name):
        assert SERVICES[name]["env_file"] == [{"path": "countersign.env", "required": False}]

    @pytest.mark.parametrize("name", ["postgres", "redis"])
    def test_tells_no_other_services_our_settings(self, name):
        assert "env_file" not in SERVICES[name]

    @pytest.mark.parametrize("ignoring", [".gitignore", ".dockerignore"])
    def test_keeps_those_settings_out_of_what_is_shared(self, ignoring):
        assert "countersign.env" in (ROOT / ignoring).read_text().splitlines()

    def test_runs_everything_but_slacks_sockets_unasked(self):
        asked = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
        assert asked == {"slack_socket": ["slack-socket"]}

    def test_publishes_nothing_beyond_loopback_by_default(self):
        ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
        assert ports
        assert all(":-127.0.0.1:" in port for port in ports)

    def test_builds_from_the_locked_dependencies_and_drops_root(self):
        dockerfile = (ROOT / "Dockerfile").read_text()
        assert "--require-hashes -r requirements/server.lock" in dockerfile
        assert dockerfile.rindex("USER countersign") > dockerfile.rindex("COPY")
