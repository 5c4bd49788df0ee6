"""The page about evidence names what there is."""

from pathlib import Path

import pytest

from countersign.proof.events import Event
from evidence.keys import Purpose
from registry import records_urls

PAGE = (Path(__file__).parent.parent.parent / "docs" / "evidence.md").read_text()


@pytest.mark.parametrize("word", [*Event, *Purpose])
def test_names_every_event_and_key(word: str) -> None:
    assert f"`{word}`" in PAGE


@pytest.mark.parametrize("path", [str(url.pattern).split("<")[0] for url in records_urls.urlpatterns])
def test_names_every_path(path: str) -> None:
    assert path in PAGE
