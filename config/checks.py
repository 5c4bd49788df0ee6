"""What is wrong with the environment though each value is well formed: misspelt names, pairs that do not fit."""

import difflib
import os
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004  Django's own name for it

from config.environment import PREFIX, Environment, environment, unknown_variables


@register("countersign")
def names(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001  Django passes it by name
    """A variable nobody reads is a setting that silently does not apply."""
    known = [PREFIX + name.upper() for name in Environment.model_fields]
    return [
        Warning(
            f"{name} is not a setting of Countersign.",
            hint="Did you mean "
            + (difflib.get_close_matches(name, known, n=1, cutoff=0.8) or ["one of docs/settings.md"])[0]
            + "?",
            id="countersign.W001",
        )
        for name in unknown_variables(os.environ)
    ]


@register("countersign")
def pairs(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001  Django passes it by name
    """Settings that are fine alone and wrong together."""
    given = environment()
    found: list[CheckMessage] = []
    if given.is_sqlite and given.redis_url:
        found.append(
            Error(
                f"{PREFIX}REDIS_URL asks for separate workers, but SQLite has exactly one process.",
                hint=f"Unset {PREFIX}REDIS_URL for a try-out, or use PostgreSQL.",
                id="countersign.E001",
            )
        )
    if given.migrator_database_url and given.is_sqlite:
        found.append(
            Error(
                f"{PREFIX}MIGRATOR_DATABASE_URL is set, but SQLite has no roles.",
                hint=f"Unset it, or point {PREFIX}DATABASE_URL at PostgreSQL.",
                id="countersign.E002",
            )
        )
    if given.probe_private:
        found.append(
            Warning(
                f"{PREFIX}PROBE_PRIVATE lets the checks of waivers reach private and loopback addresses.",
                hint="Whoever asks for a waiver chooses what is looked at. Unset it if nothing needs it.",
                id="countersign.W002",
            )
        )
    return found
