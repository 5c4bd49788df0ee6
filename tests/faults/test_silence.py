"""A connection to the database that went silent: who waits is told in time, and the next call gets a new connection."""

import time

from tests.faults.wire import Wire
from tests.journeys.server import Place, Server
from tests.journeys.speakers import EVALUATION, lookup
from tests.journeys.world import world

PATIENCE = 7.0  # seconds; finding it out of each connection takes eight, and without letting go the kernel ten and more
COMMITTING = 2  # connections a process commits on, by turns: all of them go silent


def test_abuse_136_a_connection_gone_silent_is_let_go_of(place: Place, behind: Server, wire: Wire):
    acme = world(place, behind.url)
    for _ in range(COMMITTING):
        assert acme.pep.ask(lookup())["outcome"] == "allow"
    wire.deafen()
    began = time.monotonic()
    first = acme.pep.post(EVALUATION, lookup())
    assert (first.status_code, first.headers["retry-after"]) == (503, "1")
    assert time.monotonic() - began < PATIENCE / 2
    while (again := acme.pep.post(EVALUATION, lookup())).status_code == 503:
        assert time.monotonic() - began < PATIENCE, "the silent connection is still held"
    assert again.json()["decision"] is True
    assert time.monotonic() - began < PATIENCE, "each of the silent connections was waited for"
