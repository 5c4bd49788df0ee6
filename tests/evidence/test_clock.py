"""The database's clock."""

from datetime import UTC, datetime, timedelta

from django.db import transaction

from evidence import clock


class TestNow:
    def test_moves_on_inside_a_transaction(self) -> None:
        with transaction.atomic():
            first = clock.now()
            while (second := clock.now()) == first:
                pass
        assert second > first

    def test_is_in_utc_and_near_ours(self) -> None:
        now = clock.now()
        assert now.tzinfo is UTC
        assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)
