"""Calls share connections: over jobs and tenants, never over a fork, and nothing that would mix up who asks."""

import base64
import gc
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from connectors.jira import api
from connectors.jira.api import Site
from connectors.lasting import Lasting
from connectors.port import Account
from connectors.servicenow import table
from connectors.servicenow.table import Table
from tests.connectors.keeping import Kept, keeping

SAID = {"accountId": "a", "accountType": "atlassian", "result": {"sys_id": "x"}}
Ask = Callable[[str, str], object]


def jira(url: str, who: str) -> object:
    return Site(Account("acme", 1, "jira", {"url": url, "email": who, "token": "t", "webhook_secret": "w"})).me()


def servicenow(url: str, who: str) -> object:
    given = {"url": url, "user": who, "password": "t", "webhook_secret": "w"}
    return Table(Account("acme", 1, "servicenow", given)).row("task", "x", ("sys_id",))


@pytest.fixture
def here() -> Iterator[Kept]:
    with keeping(SAID) as made:
        yield made
    api.CONNECTIONS.close()
    table.CLIENT.close()


@pytest.mark.parametrize("ask", [jira, servicenow])
class TestCalls:
    def test_of_many_jobs_and_tenants_share_a_connection(self, here: Kept, ask: Ask) -> None:
        for who in ("one", "two", "three"):
            ask(here.url, who)
            gc.collect()  # what ends with a job must not end its connection
        assert (len(here.peers), len(here.calls)) == (1, 3)

    def test_carry_their_own_credentials_and_nobodys_cookies(self, here: Kept, ask: Ask) -> None:
        for who in ("one", "two"):
            ask(here.url, who)
        users = [base64.b64decode(call["authorization"].removeprefix("Basic ")).decode() for call in here.calls]
        assert users == ["one:t", "two:t"]
        assert not any("cookie" in call for call in here.calls)

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Celery forks; so do we
    def test_of_a_forked_child_have_a_connection_of_their_own(self, here: Kept, ask: Ask) -> None:
        ask(here.url, "parent")
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            try:
                ask(here.url, "child")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        ask(here.url, "parent")
        assert (len(here.peers), len(here.calls)) == (2, 3)

    def test_after_an_end_begin_anew(self, here: Kept, ask: Ask) -> None:
        ask(here.url, "one")
        api.CONNECTIONS.close()
        table.CLIENT.close()
        ask(here.url, "one")
        assert len(here.peers) == 2


def test_what_lay_idle_is_made_anew() -> None:
    made: list[int] = []
    one = Lasting(lambda: made.append(1) or len(made), end=lambda _: None, idle=0.05)
    assert [one.get(), one.get()] == [1, 1]
    time.sleep(0.1)
    assert one.get() == 2
