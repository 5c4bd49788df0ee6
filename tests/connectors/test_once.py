"""What other systems deliver twice counts once."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction

from connectors import jobs, once
from connectors.models import Seen
from evidence import clock
from outbox import queue


@pytest.fixture
def kind() -> str:
    return f"test.{secrets.token_hex(6)}"


class TestFirst:
    def test_is_true_once_for_a_key(self, kind):
        assert [once.first(kind, "evt-1", now=clock.now()) for _ in range(3)] == [True, False, False]

    def test_tells_kinds_and_keys_apart(self, kind):
        now = clock.now()
        assert once.first(kind, "a", now=now)
        assert once.first(kind, "b", now=now)
        assert once.first(f"{kind}.other", "a", now=now)

    def test_is_true_for_one_of_many_at_once(self, kind):
        def bring(_: int) -> bool:
            try:
                return once.first(kind, "same", now=clock.now())
            finally:
                connection.close()

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(bring, range(24))) == 1

    def test_does_not_count_what_was_rolled_back(self, kind):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            assert once.first(kind, "a", now=clock.now())
            raise ZeroDivisionError
        assert once.first(kind, "a", now=clock.now())

    def test_tells_long_keys_apart(self, kind):
        now = clock.now()
        assert once.first(kind, "x" * 5_000 + "a", now=now)
        assert once.first(kind, "x" * 5_000 + "b", now=now)
        assert not once.first(kind, "x" * 5_000 + "b", now=now)

    def test_forgets_what_nobody_redelivers_any_more(self, kind):
        now = clock.now()
        once.first(kind, "old", now=now - once.KEPT - timedelta(seconds=1))
        once.first(kind, "new", now=now)
        once.forget_old(now)
        assert list(Seen.objects.filter(kind=kind).values_list("key", flat=True)) == ["new"]


class TestForget:
    def test_comes_round_and_keeps_what_may_be_redelivered(self):
        now = clock.now()
        once.first("forget", "old", now=now - once.KEPT - timedelta(seconds=1))
        once.first("forget", "young", now=now)
        jobs.forget()
        assert (once.first("forget", "old", now=now), once.first("forget", "young", now=now)) == (True, False)
        assert queue.interval_of(jobs.FORGET) == timedelta(days=1)
