"""Statements in, rows out, over one PostgreSQL connection in pipeline mode: binary, prepared, and never waiting itself.

What takes the network is a generator that yields what it waits for, as psycopg's own are: a thread runs it with
`Connection.wait`, an event loop by watching the socket. Each `sync` is one round trip for all that was sent before.
"""

from collections.abc import Generator, Sequence
from itertools import count
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result
from psycopg.waiting import Ready, Wait

T = TypeVar("T")
Waiting = Generator[Wait, Ready, T]
Row = tuple[bytes, ...]
"""Values in binary; what this room asks for is never null."""

_NAMED = 40  # bytes of a statement in its name, of which PostgreSQL keeps 63
_BINARY = pq.Format.BINARY
_FAILED = frozenset({pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED})


class Line:
    """One connection. Not for two at once."""

    def __init__(self, raw: "psycopg.Connection[Any]") -> None:
        self.raw = raw
        self._conn: Any = raw.pgconn
        self._names: dict[bytes, bytes] = {}
        self._numbers = count(1)
        self._fresh: list[bytes] = []  # prepared since the last sync, which the server may yet refuse
        self._asked: list[bool] = []  # per result to come: whether somebody wants its rows

    def begin(self) -> None:
        """Enter pipeline mode. Nobody else may use the connection until `end`."""
        self._conn.enter_pipeline_mode()

    def end(self) -> None:
        """Leave pipeline mode; everything sent must have been answered."""
        self._conn.exit_pipeline_mode()

    def send(self, sql: bytes, parameters: Sequence[bytes] = (), *, rows: bool = False) -> None:
        """Send a statement, prepared the first time; with `rows` what it finds is answered by `sync`."""
        if not parameters:  # BEGIN and its like: nothing to prepare
            self._conn.send_query_params(sql, None)
            self._asked.append(rows)
            return
        name = self._names.get(sql)
        if name is None:
            # Numbered, for a refused one is never named again; with words, for who looks at what a session does.
            name = self._names[sql] = b"%d %b" % (next(self._numbers), sql[:_NAMED])
            self._fresh.append(sql)
            self._conn.send_prepare(name, sql)
            self._asked.append(False)
        self._conn.send_query_prepared(name, parameters, [_BINARY] * len(parameters), _BINARY)
        self._asked.append(rows)

    def sync(self) -> Waiting[list[list[Row]]]:
        """What was asked for, in order. Raises psycopg.Error: the first that went wrong; the rest was not done."""
        conn = self._conn
        conn.pipeline_sync()
        while conn.flush():
            if (yield Wait.RW) & Ready.R:
                conn.consume_input()
        asked, self._asked = self._asked, []
        fresh, self._fresh = self._fresh, []
        found, error = yield from self._results(asked)
        if error is not None:
            for sql in fresh:
                del self._names[sql]
            raise error
        return found

    def _results(self, asked: Sequence[bool]) -> Waiting[tuple[list[list[Row]], psycopg.Error | None]]:
        conn, at = self._conn, 0
        found: list[list[Row]] = []
        error: psycopg.Error | None = None
        while True:
            while conn.is_busy():
                yield Wait.R
                conn.consume_input()
            result = conn.get_result()
            if result is None:  # between the results of two statements
                continue
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                return found, error
            if result.status in _FAILED:
                error = error or error_from_result(result)
            elif asked[at]:
                found.append(_rows(result))
            at += 1


def _rows(result: Any) -> list[Row]:
    columns = range(result.nfields)
    return [tuple([result.get_value(row, column) for column in columns]) for row in range(result.ntuples)]


_lines: "WeakKeyDictionary[psycopg.Connection[Any], Line]" = WeakKeyDictionary()


def of(raw: "psycopg.Connection[Any]") -> Line:
    """The line over a connection, which remembers what is prepared there."""
    found = _lines.get(raw)
    if found is None:
        found = _lines[raw] = Line(raw)
    return found
