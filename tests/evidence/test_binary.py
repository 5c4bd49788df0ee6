"""What this house writes in PostgreSQL's binary format is what the server reads, and the other way round."""

from datetime import UTC, datetime

import psycopg
import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from psycopg import pq

from evidence import binary

pytestmark = pytest.mark.postgres

_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
_NUMBERS = st.integers(-(2**63), 2**63 - 1)
_MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - made aware


def _read(kind: str, raw: bytes) -> object:
    """The value as the server understands it, told by psycopg."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no binary format")
    connection.ensure_connection()
    own: psycopg.Connection = connection.connection
    result = own.pgconn.exec_params(f"SELECT $1::{kind}".encode(), [raw], None, [pq.Format.BINARY], pq.Format.TEXT)
    assert result.status == pq.ExecStatus.TUPLES_OK, result.error_message
    found = result.get_value(0, 0)
    assert found is not None
    with psycopg.Cursor(own) as cursor:
        return cursor.execute(f"SELECT %s::{kind}", [found.decode()]).fetchone()[0]


class TestArray:
    @given(st.lists(_TEXTS, max_size=8))
    def test_of_texts_is_read_as_written(self, values):
        assert _read("text[]", binary.array("text", values)) == values

    @given(st.lists(_NUMBERS, max_size=8))
    def test_of_numbers_is_read_as_written(self, values):
        assert _read("bigint[]", binary.array("bigint", values)) == values

    @given(st.lists(st.binary(max_size=20), max_size=8))
    def test_of_bytes_is_read_as_written(self, values):
        assert _read("bytea[]", binary.array("bytea", values)) == values

    @given(st.lists(_MOMENTS, max_size=4))
    def test_of_times_is_read_as_written(self, values):
        assert _read("timestamptz[]", binary.array("timestamptz", values)) == values

    @given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=8))
    def test_of_small_numbers_is_read_as_written(self, values):
        assert _read("int[]", binary.array("int", values)) == values


@given(_MOMENTS)
def test_a_time_comes_back_as_it_went(value):
    assert binary.to_moment(binary.moment(value)) == value


@given(_NUMBERS)
def test_a_number_comes_back_as_it_went(value):
    assert binary.to_integer(binary.integer(value)) == value
