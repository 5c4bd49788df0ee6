"""Who adds a path on which something can be written is told here that its COMMIT has to be cut too."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from enforcement import api
from tests.faults import endpoints

_UNSAFE = ("post", "put", "patch", "delete")
_STORIES = "".join(path.read_text() for path in Path(endpoints.__file__).parent.glob("test_commit*.py"))


def machines() -> Iterator[str]:
    """Each way in to the machines' room that is no GET. An evaluation is asked for with POST."""
    yield from (f"POST {path}" for path in api._ASKING)
    yield from (f"{method} {path}" for path, ways in api.ROUTES.items() for method in ways if method != "GET")


def people() -> Iterator[str]:
    """Each path of Django's that takes anything but a look. A page that only shows refuses a POST before all else."""
    for path, pattern in _paths(get_resolver()):
        view = getattr(pattern.callback, "view_class", None)
        if view is None:
            written = Client().post("/" + _example(path)).status_code != HTTPStatus.METHOD_NOT_ALLOWED
        else:
            written = any(hasattr(view, method) for method in _UNSAFE)
        if written:
            yield path


def _paths(resolver: URLResolver, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for one in resolver.url_patterns:
        path = before + str(one.pattern)
        if path in endpoints.ELSEWHERE:
            continue
        if isinstance(one, URLPattern):
            yield path, one
        else:
            yield from _paths(one, path)


def _example(path: str) -> str:
    return re.sub(r"<[^>]*>", "1", path)


class TestEndpoints:
    def test_of_machines_are_each_cut_or_say_why_not(self):
        assert sorted(machines()) == sorted({**endpoints.MACHINES, **endpoints.SPARED_MACHINES})

    def test_of_people_and_other_systems_are_each_cut_or_say_why_not(self, database: None):
        assert sorted(people()) == sorted({**endpoints.PEOPLE, **endpoints.SPARED})

    @pytest.mark.parametrize("story", sorted({*endpoints.MACHINES.values(), *endpoints.PEOPLE.values()}))
    def test_name_a_story_that_is_told(self, story):
        assert f"def {story}(" in _STORIES

    @pytest.mark.parametrize("why", sorted({*endpoints.SPARED.values()}))
    def test_that_are_as_another_name_one_that_is_cut(self, why):
        assert not why.startswith("As ") or why.removeprefix("As ") in endpoints.PEOPLE
