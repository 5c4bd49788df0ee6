"""A real server on the run's own database, and a real Chromium in front of it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from django.db import connection
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from registry.models import Membership
from tests.servers import free_port

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
ROOT = Path(__file__).parent.parent.parent
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}


def launched(playwright: Playwright) -> Browser:
    """The system's own Chromium; nothing is downloaded."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


def database_url() -> str:
    """Where the run's test database is, for a process of its own."""
    told = connection.settings_dict
    if connection.vendor != "postgresql":
        return f"sqlite:///{told['NAME']}"
    user = quote(told["USER"]) + (f":{quote(told['PASSWORD'])}" if told["PASSWORD"] else "")
    return f"postgresql://{user}@{told['HOST']}:{told['PORT'] or 5432}/{told['NAME']}"


@pytest.fixture(scope="module")
def url(database: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Uvicorn with the very application that production runs."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    environment = {**os.environ, "COUNTERSIGN_DATABASE_URL": database_url(), "COUNTERSIGN_BASE_URL": address}
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "config.asgi:application", "--port", str(port), "--log-level", "warning"],
            cwd=ROOT, env=environment, stdout=out, stderr=out,
        )  # fmt: skip
        try:
            _await_ready(address, server, log)
            yield address
        finally:
            server.terminate()
            server.wait(timeout=30)


def _await_ready(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        try:
            if httpx2.get(f"{address}/healthz", timeout=2).status_code == 200:
                return
        except httpx2.HTTPError:
            time.sleep(0.2)
    pytest.fail(f"the server did not come up: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def chromium(url: str) -> Iterator[Browser]:
    """Started after every model is loaded: inside of it Django takes this thread for one of an event loop."""
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    with sync_playwright() as playwright:
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright's greenlets run a loop here; our own calls are plain
        browser = launched(playwright)
        yield browser
        browser.close()
    if before is None:
        os.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE")
    else:
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


@dataclass(frozen=True, slots=True)
class Seat:
    """Somebody in front of a browser, and what its console complained of."""

    page: Page
    url: str
    complaints: list[str]

    def go(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page


def seated(context: BrowserContext, url: str, member: Membership | None) -> Seat:
    if member is not None:
        client = Client()
        client.force_login(member.user)
        context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url}])
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in LOUD else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return Seat(page, url, complaints)


LOUD = {"error", "warning"}
Sit = Callable[..., Seat]


@pytest.fixture
def sit(chromium: Browser, url: str) -> Iterator[Sit]:
    """Seat a member (or a stranger) at a browser of the given size; whatever its console says fails the test."""
    contexts: list[BrowserContext] = []
    seats: list[Seat] = []

    def take(member: Membership | None, viewport: dict[str, int] = DESKTOP, **options: object) -> Seat:
        contexts.append(chromium.new_context(viewport=viewport, **options))
        seats.append(seated(contexts[-1], url, member))
        return seats[-1]

    yield take
    for context in contexts:
        context.close()
    assert [seat.complaints for seat in seats if seat.complaints] == []
