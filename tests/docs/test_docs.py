"""The docs say what the code does: each setting, event, reason, verb and link is where a reader looks for it."""

import re
from pathlib import Path

import pytest

from config.environment import PREFIX, Environment
from countersign.policy.values import Reason
from countersign.proof.events import Event

ROOT = Path(__file__).parent.parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


class TestDocs:
    @pytest.mark.parametrize("field", Environment.model_fields)
    def test_settings_describe(self, field):
        assert f"`{PREFIX}{field.upper()}`" in page("settings.md")

    def test_settings_describe_nothing_else(self):
        described = set(re.findall(rf"^\| `{PREFIX}(\w+)`", page("settings.md"), re.MULTILINE))
        assert described == {name.upper() for name in Environment.model_fields}

    @pytest.mark.parametrize("reason", Reason)
    def test_reasons_are_listed(self, reason):
        assert f"`{reason}`" in page("decision-api.md")

    @pytest.mark.parametrize("event", Event)
    def test_events_are_listed(self, event):
        assert f"`{event}`" in page("evidence.md")

    @pytest.mark.parametrize(
        "path", [*PAGES, *ROOT.glob("templates/**/*.html"), ROOT / "countersign/proof/pack_readme.py"]
    )
    def test_nobody_is_sent_to_the_package_of_our_name_that_is_not_ours(self, path):
        assert not re.search(r"pip install countersign\b", path.read_text())

    @pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
    def test_links_lead_somewhere(self, path):
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), target

    def test_readme_names_only_verbs_that_exist(self):
        makefile = (ROOT / "Makefile").read_text()
        for text in (page_.read_text() for page_ in PAGES):
            for verb in re.findall(r"`make ([a-z-]+)", text):
                assert re.search(rf"^{verb}:", makefile, re.MULTILINE), verb

    def test_commands_that_are_named_exist(self):
        there = {path.stem for path in ROOT.glob("*/management/commands/*.py")} | {"check"}
        for text in (page_.read_text() for page_ in PAGES):
            for command in re.findall(r"manage\.py ([a-z_]+)", text):
                assert command in there, command
