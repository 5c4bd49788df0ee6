"""SQL in, why it is refused out."""

import logging

import pytest

from countersign.inspection.sql import Kind, Statements

SELECT = Statements(frozenset({Kind.SELECT}))


class TestRefusal:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            ";",
            "hello",
            "select (",
            "drop table t",
            "update t set a = 1",
            "insert into t values (1)",
            "delete from t",
            "truncate t",
            "create table t (a int)",
            "grant all on t to public",
            "set role admin",
            "explain analyze delete from t",
            "call p()",
            "do 'x'",
            "values (1)",
            "table t",
            # more than one
            "select 1; drop table t",
            "select 1;;",
            "select 1; select 2",
            # writes inside a query
            "with x as (delete from t returning *) select * from x",
            "with x as (insert into t values (1) returning *) select 1",
            "with x as (update t set a = 1 returning *) select * from x",
            "select * into n from t",
            "select 1 into outfile '/tmp/x'",
            "select * from t for update",
            "select * from t lock in share mode",
            # comments and other places where databases disagree
            "select 1 -- x",
            "select 1 --x; delete from t",
            "select /* x */ 1",
            "select 1 /*! union delete from t */",
            "select /*+ hint */ 1",
            "select 1 # x",
            "select '\\'; delete from t; -- '",
            "select '\\''; delete from t; -- '",
            "select $$a$$",
            "select `a`",
            "select [a'b]; delete from t; select [c'd]",
            # functions that do more than compute
            "select pg_sleep(10)",
            'select "pg_sleep"(10)',
            "select pg_catalog.pg_sleep(10)",
            "select cast(pg_sleep(10) as text)",
            "select evil.lower(a) from t",
            "select evil.md5(a) from t",
            "select nextval('s')",
            "select setval('s', 1)",
            "select set_config('a', 'b', false)",
            "select lo_import('/etc/passwd')",
            "select pg_read_file('/etc/passwd')",
            "select load_file('/etc/passwd')",
            "select * from dblink('x', 'delete from t') as t(a int)",
            "select query_to_xml('delete from t', true, true, '')",
            "select * from xp_cmdshell('dir')",
            "select * from openrowset('a', 'b')",
            "select * from read_csv('/etc/passwd')",
            "select * from '/etc/passwd'",
            "select benchmark(1, 2)",
            # size
            "select " + "(" * 61 + "1" + ")" * 61,
            "select " + "not " * 4000 + "a",
            "select '" + "x" * 20_000 + "'",
        ],
    )
    def test_refuses_all_but_one_plain_query(self, text: str) -> None:
        assert SELECT.refusal(text) is not None

    @pytest.mark.parametrize(
        "text",
        [
            "select 1",
            "SELECT a, count(*) FROM t WHERE x = 'a''b' GROUP BY a HAVING count(*) > 1 ORDER BY 1 LIMIT 10;",
            "with a as (select 1 as x) select * from a join b using (x)",
            "(select 1) union all (select 2)",
            "select * from t where name like '%;--%'",
            "select lower(a), coalesce(b, 1), now(), md5(c), sum(d) over (partition by e) from t",
            "select 1 where exists (select 1 from t)",
        ],
    )
    def test_lets_plain_queries_pass(self, text: str) -> None:
        assert SELECT.refusal(text) is None

    def test_only_the_kinds_named_may_pass(self) -> None:
        writing = Statements(frozenset({Kind.INSERT, Kind.DELETE}))

        assert writing.refusal("delete from t where a = 1") is None
        assert writing.refusal("insert into t values (1)") is None
        assert writing.refusal("update t set a = 1") is not None
        assert writing.refusal("select 1") is not None

    def test_neither_answers_nor_logs_quote_the_text(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            for text in (
                "drop hunter2",
                "select hunter2(1)",
                "select (hunter2",
                "select 1; vacuum hunter2",
                "select hunter2 !!",
            ):
                assert "hunter2" not in (SELECT.refusal(text) or "")

        assert "hunter2" not in caplog.text

    @pytest.mark.parametrize(
        "text",
        ["select " + "case when a then " * 1100, "select " + "a+" * 9000, "(" * 20_000],
    )
    def test_a_hostile_text_gets_an_answer(self, text: str) -> None:
        assert SELECT.refusal(text) is not None
