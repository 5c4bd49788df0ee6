"""The certification scenario against our server over real HTTP, and against servers that must not pass it."""

import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evidence import clock
from registry import blueprints, credentials
from registry.models import Tenant
from tests import authzen_conformance
from tests.authzen_conformance import run
from tests.authzen_conformance.pdp import Pdp
from tests.authzen_conformance.run import Result
from tests.enforcement.test_server import ROOT, serving
from tests.worlds import SETUP

FIXTURE = Path(authzen_conformance.__file__).parent / "fixture"


@pytest.fixture(scope="module")
def token(database: None) -> str:
    """A PEP's key in a tenant with the scenario's fixture, whose policy believes what callers say."""
    slug = f"authzen-{secrets.token_hex(5)}"
    text = (FIXTURE / "blueprint.yaml").read_text().replace("authzen-certification", slug)
    blueprint = blueprints.parse(text, file="blueprint.yaml", read=lambda name: (FIXTURE / name).read_text())
    blueprints.apply(blueprint, actor=SETUP, now=clock.now())
    return credentials.issue(
        Tenant.objects.get(slug=slug),
        kind="pep",
        name="harness",
        actor=SETUP,
        now=clock.now(),
        subjects=["user:*", "spaceship:*"],
    )


@pytest.fixture(scope="module")
def port(database: None) -> Iterator[int]:
    with serving("config.protocol:Protocol") as (chosen, _):
        yield chosen


@pytest.fixture(scope="module")
def told(port: int, token: str) -> dict[str, Result]:
    with Pdp(f"http://127.0.0.1:{port}", token) as pdp:
        return {result.level.name: result for result in run.levels(pdp)}


class TestOurs:
    @pytest.mark.parametrize("level", [level.name for level in run.LEVELS])
    def test_passes(self, told, level):
        assert told[level].passed, run.table([told[level]])

    def test_describes_each_tenant_at_its_own_address(self, port, token):
        with Pdp(f"http://127.0.0.1:{port}/acme", token) as pdp:
            discovery = next(result for result in run.levels(pdp) if result.level.name == "Discovery")
        assert discovery.passed, run.table([discovery])

    def test_is_told_as_a_table(self, port, token):
        command = [sys.executable, "-m", "tests.authzen_conformance", "--url", f"http://127.0.0.1:{port}"]
        given = [*command, "--token", "csk_pep_no_body"]
        done = subprocess.run(given, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "2.2.1 alice may read record-1: answered 401, not 200" in done.stdout
        assert done.stdout.endswith("1 of 7 levels passed\n"), "whoever has no key still sees the metadata"


@contextmanager
def saying(*, decision: bool, echo: bool = True, status: int = 200) -> Iterator[str]:
    """A server with one answer for everything."""

    class Canned(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
            items = sent.get("evaluations", []) if isinstance(sent, dict) else []
            self._answer({"decision": decision, "results": [], "evaluations": [{"decision": decision} for _ in items]})

        def do_GET(self) -> None:
            self._answer({"policy_decision_point": "https://elsewhere.test", "capabilities": [1]})

        def _answer(self, document: dict) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            if echo and "x-request-id" in self.headers:
                self.send_header("x-request-id", self.headers["x-request-id"])
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

        def handle_error(self) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Canned)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class TestOthers:
    @pytest.mark.parametrize(
        "canned", [{"decision": True}, {"decision": False}, {"decision": True, "status": 400}], ids=str
    )
    def test_pass_no_level_with_one_answer_for_everything(self, canned):
        with saying(**canned) as url, Pdp(url, "token") as pdp:
            assert not [result.level.name for result in run.levels(pdp) if result.passed]

    def test_are_told_in_one_line_what_their_metadata_do_not_name(self):
        with saying(decision=True) as url, Pdp(url, "token") as pdp:
            told = run.table(list(run.levels(pdp))).splitlines()
        (at,) = [number for number, line in enumerate(told) if line.startswith("Batch Core")]
        assert told[at].endswith("absent  the metadata name no access_evaluations_endpoint")
        assert told[at + 1].startswith("Batch Properties")

    def test_are_told_when_they_do_not_name_the_request(self):
        with saying(decision=True, echo=False) as url, Pdp(url, "token") as pdp:
            basic = next(run.levels(pdp))
        assert "X-Request-ID came back as None" in {case.section: why for case, why in basic.failures}["2.5.1"]

    def test_are_told_when_they_do_not_answer(self):
        with Pdp("http://127.0.0.1:9", "token") as pdp:
            assert all("no answer" in why for result in run.levels(pdp) for _, why in result.failures)
