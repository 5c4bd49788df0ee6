"""An entry of `channels:` in, its row's key and members out. Pure."""

from collections.abc import Mapping
from typing import Any

from countersign.policy import globs
from countersign.policy.faults import Form, Path
from registry.blueprints import reading
from registry.blueprints.reading import MAX_ID, MAX_NAME

KEYS: Mapping[str, str] = {
    "slack": "channel",
    "jira": "project",
    "servicenow": "table",
    "email": "address",
    "webhook": "url",
}
ROUTING = ("tool_groups", "min_risk_tier", "tenant_wide")
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "slack": ("origins",),
    "jira": ("issue_type", "transitions", "origins"),
    "servicenow": ("origins",),
}
ORIGINS: Mapping[str, tuple[str, str]] = {
    "slack": ("[CG][A-Z0-9]{1,30}", "the id of a channel, such as C0123456789"),
    "jira": ("[A-Z][A-Z0-9_]{1,30}", "the key of a project, such as OPS"),
    "servicenow": ("[a-z][a-z0-9_]{0,79}", "the name of a table, such as incident"),
}
TRANSITIONS = ("approved", "denied", "expired", "cancelled")


def read(form: Form, value: object, path: Path) -> tuple[str, dict[str, Any]] | None:
    """The key (empty if it could not be read) and the members of the row; None if not even the kind is known."""
    kind = value.get("kind") if isinstance(value, Mapping) else None
    place = KEYS.get(kind) if isinstance(kind, str) else None
    if place is None:
        form.refuse((*path, "kind"), f"must be one of {', '.join(KEYS)}")
        return None
    known = ("kind", place, "teams", *ROUTING, *OPTIONS.get(str(kind), ()))
    block = form.mapping(value, path, known=known, required=("kind", place))
    teams = sorted(form.texts(block["teams"], (*path, "teams"))) if "teams" in block else []
    key = reading.identifier(form, block, path, place, MAX_ID)
    config = {place: key, **_routing(form, block, path), **_jira(form, block, path)}
    if "origins" in block and kind in ORIGINS:
        config["origins"] = _origins(form, block["origins"], (*path, "origins"), str(kind))
    if bool(teams) == config.get("tenant_wide", False):
        form.refuse(path, "needs either teams, or tenant_wide: true for whatever team is asked")
    return f"{kind}:{key}" if key else "", {"config": config, "teams": teams}


def _routing(form: Form, block: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What narrows a channel down, or widens it; only what is written."""
    found: dict[str, Any] = {}
    if "tool_groups" in block:
        found["tool_groups"] = list(form.texts(block["tool_groups"], (*path, "tool_groups")))
        for n, glob in enumerate(found["tool_groups"]):
            if problem := globs.unusable(glob):
                form.refuse((*path, "tool_groups", n), problem)
    if "min_risk_tier" in block:
        found["min_risk_tier"] = form.whole(block["min_risk_tier"], (*path, "min_risk_tier"), least=1, most=4)
    if "tenant_wide" in block and form.flag(block["tenant_wide"], (*path, "tenant_wide")):
        found["tenant_wide"] = True
    return found


def _jira(form: Form, block: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What a project calls its issues and the ends of a request; only what is written."""
    found: dict[str, Any] = {}
    if "issue_type" in block:
        found["issue_type"] = reading.identifier(form, block, path, "issue_type", MAX_NAME)
    if "transitions" in block:
        at = (*path, "transitions")
        named = form.mapping(block["transitions"], at, known=TRANSITIONS)
        found["transitions"] = {status: reading.identifier(form, named, at, status, MAX_NAME) for status in named}
    return found


def _origins(form: Form, value: object, path: Path, kind: str) -> list[str]:
    """In which channels, projects or tables an asker may be told what became of the ask."""
    pattern, wanted = ORIGINS[kind]
    return [reading.matching(form, name, (*path, n), pattern, wanted) for n, name in enumerate(form.texts(value, path))]
