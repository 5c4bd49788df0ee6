"""A query described once in, its rows for other values out: the ORM writes its SQL once, not at every call.

To describe and compile a query costs ten times what it costs to ask it. For the few on a way that somebody waits for;
everywhere else a QuerySet is right.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connection, models, transaction
from django.db.models import query
from django.db.models.expressions import Expression
from django.db.models.query import FlatValuesListIterable, ModelIterable, ValuesListIterable

T = TypeVar("T")
_query: Any = query  # the stubs are those of another Django
Value = str | int | datetime
_MOST = 8


class Given(Expression):
    """Stands in a description for the value that comes later."""

    def __init__(self, place: int) -> None:
        super().__init__(output_field=models.TextField())
        self.place = place

    def as_sql(self, *_: Any, **__: Any) -> tuple[str, tuple[Any, ...]]:
        return "%s", (self,)


class Compiled(Generic[T]):
    """Called with values, it answers with the list of what its QuerySet then holds: models, tuples or single values.

    The description is called with a placeholder for each value, once for each number of values there are:
    `Compiled(lambda name: Tenant.objects.filter(slug=name))`. A value is told to the database as it is, whatever the
    column: text, a number, a time. Beyond a few values the SQL is written anew, or there would be no end of texts.
    """

    def __init__(self, describe: Callable[..., "models.QuerySet[Any, T]"]) -> None:
        self._describe = describe
        self._plans: dict[tuple[str, int], _Plan] = {}

    def __call__(self, *values: Value) -> list[T]:
        if len(values) > _MOST:
            return list(self._describe(*values))
        key = connection.vendor, len(values)
        plan = self._plans.get(key)
        if plan is None:
            try:
                plan = self._plans[key] = _Plan(self._describe(*map(Given, range(len(values)))))
            except EmptyResultSet:  # one of none: the ORM asks nothing then
                return []
        return plan.rows(values)

    def first(self, *values: Value) -> T | None:
        """The first row or None. How many are read, the description says."""
        return next(iter(self(*values)), None)


class _Plan:
    """What the ORM made of one description for one kind of database."""

    def __init__(self, queryset: Any) -> None:
        compiler = queryset.query.get_compiler(connection=connection)
        self._sql, self._params = compiler.as_sql()
        self._converters = compiler.get_converters([column for column, _, _ in compiler.select])
        self._made = _maker(queryset, compiler)
        self._locks = bool(queryset.query.select_for_update)

    def rows(self, values: Sequence[Value]) -> list[Any]:
        if self._locks and connection.get_autocommit():  # as the ORM does: nothing would be held
            raise transaction.TransactionManagementError("select_for_update cannot be used outside of a transaction.")
        params = [_adapted(values[one.place]) if isinstance(one, Given) else one for one in self._params]
        with connection.cursor() as cursor:
            cursor.execute(self._sql, params)
            found = cursor.fetchall()
        return [self._made(self._converted(row) if self._converters else row) for row in found]

    def _converted(self, row: Sequence[Any]) -> Sequence[Any]:
        told = list(row)
        for at, (converters, expression) in self._converters.items():
            for convert in converters:
                told[at] = convert(told[at], expression, connection)
        return told


def _adapted(value: Value) -> Any:
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value


def _maker(queryset: Any, compiler: Any) -> Callable[[Sequence[Any]], Any]:
    """What makes of a row what the QuerySet would give, as `ModelIterable` and its sisters in Django do."""
    gives = queryset._iterable_class  # noqa: SLF001  nothing else tells
    if gives is FlatValuesListIterable:
        return lambda row: row[0]
    if gives is ValuesListIterable:
        return tuple
    if gives is not ModelIterable or compiler.annotation_col_map:
        raise TypeError(f"{gives.__name__}, and what is annotated, is not built here")
    kind = compiler.klass_info
    start, end = kind["select_fields"][0], kind["select_fields"][-1] + 1
    names = [column.target.attname for column, _, _ in compiler.select[start:end]]
    populators = _query.get_related_populators(kind, compiler.select, connection.alias)

    def made(row: Sequence[Any]) -> Any:
        model = kind["model"].from_db(connection.alias, names, row[start:end])
        for populator in populators:
            populator.populate(row, model)
        return model

    return made
