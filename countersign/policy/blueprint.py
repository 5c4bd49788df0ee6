"""Blueprint text in, the registry it describes and its people by team out; people and channels are not judged."""

from collections.abc import Mapping
from typing import Any

from countersign.policy import globs, reach, source
from countersign.policy.faults import Form, InvalidError, Path
from countersign.policy.source import Node, PolicyErrors, Problem
from countersign.policy.tools import People, check_argument_rules, check_schema, check_teams, parse_approval, parse_caps
from countersign.policy.values import EMPTY, Agent, Caps, Entity, Registry, Requirement, Tier, Tool

AGENT_KEYS = ("id", "owner", "team", "intents", "tool_groups", "active")
TOOL_KEYS = (
    "id", "group", "owner", "risk_tier", "methods", "data_classes", "caps", "arguments_schema", "argument_rules",
    "approval", "requires_verified_principal", "active", "descriptor_digest", "wrapper",
)  # fmt: skip


def read_registry(text: str, *, file: str) -> tuple[Registry, People, tuple[Problem, ...]]:
    """The registry, the people by team, and what its author should know. Raises PolicyErrors with every problem."""
    root, problems = source.read(text, file=file)
    form = Form()
    block = root.plain()
    people = people_by_team(block)
    agents = [read_agent(form, item, ("agents", n)) for n, item in enumerate(_list(form, block, "agents"))]
    tools = [read_tool(form, item, ("tools", n)) for n, item in enumerate(_list(form, block, "tools"))]
    entities = [_entity(form, item, ("entities", n)) for n, item in enumerate(_list(form, block, "entities"))]
    for n, tool in enumerate(tools):
        if tool.approval is not None and "teams" in block:
            try:
                check_teams(tool.approval, people)
            except InvalidError as error:
                form.adopt(error, under=("tools", n, "approval"))
    problems += _located(form, root)
    if problems:
        raise PolicyErrors(problems)
    registry = Registry(
        tenant=str(block.get("tenant", "")),
        revision=0,
        agents={agent.id: agent for agent in agents},
        tools={tool.id: tool for tool in tools},
        entities={(entity.type, entity.id): entity for entity in entities},
    )
    warnings = Form()
    for n, tool in enumerate(tools):
        if "teams" in block and (word := reach.missed_by_tool(tool, registry, people, EMPTY)):
            warnings.refuse(("tools", n, "approval", "quorum"), word)
    return registry, people, tuple(_located(warnings, root))


def _located(form: Form, root: Node) -> list[Problem]:
    return [
        Problem(root.file, *root.place(fault.path, key=fault.key, offset=fault.offset), fault.message)
        for fault in form.faults
    ]


def people_by_team(block: Mapping[str, Any]) -> People:
    """Usernames of the active people of each team of a blueprint. Who is an alias of whom, only the registry knows."""
    teams = [team["name"] for team in block.get("teams") or () if isinstance(team, Mapping) and "name" in team]
    found: dict[str, set[Any]] = {name: set() for name in teams}
    for n, person in enumerate(block.get("people") or ()):
        if isinstance(person, Mapping) and person.get("active") is not False:
            for team in person.get("teams") or ():
                found.setdefault(team, set()).add(str(person.get("username", n)))
    return found


def read_agent(form: Form, value: object, path: Path) -> Agent:
    """One agent of a blueprint; faults go to the form."""
    block = form.mapping(value, path, known=AGENT_KEYS, required=("id", "owner", "team"))
    return Agent(
        id=_text(form, block, path, "id"),
        owner=_text(form, block, path, "owner"),
        team=_text(form, block, path, "team"),
        intents=_globs(form, block, path, "intents"),
        tool_groups=_globs(form, block, path, "tool_groups"),
        active=form.flag(block["active"], (*path, "active")) if "active" in block else True,
    )


def read_tool(form: Form, value: object, path: Path) -> Tool:
    """One tool of a blueprint; faults go to the form."""
    block = form.mapping(value, path, known=TOOL_KEYS, required=("id", "group", "owner", "risk_tier", "methods"))
    tier = (
        Tier(form.whole(block["risk_tier"], (*path, "risk_tier"), least=1, most=4))
        if "risk_tier" in block
        else Tier.LOW
    )
    approval = block.get("approval")
    return Tool(
        id=_text(form, block, path, "id"),
        group=_text(form, block, path, "group"),
        owner=_text(form, block, path, "owner"),
        risk_tier=tier,
        methods=form.texts(block["methods"], (*path, "methods")) if "methods" in block else (),
        data_classes=form.texts(block["data_classes"], (*path, "data_classes")) if block.get("data_classes") else (),
        caps=_caps(form, block, path),
        arguments_schema=_schema(form, block, path),
        argument_rules=_argument_rules(form, block, path),
        approval=_approval(form, approval, (*path, "approval"), tier) if "approval" in block else None,
        always_escalates=isinstance(approval, Mapping) and approval.get("always") is True,
        requires_verified_principal=_flag(form, block, path, "requires_verified_principal", default=False),
        active=_flag(form, block, path, "active", default=True),
        descriptor_digest=_text(form, block, path, "descriptor_digest") if "descriptor_digest" in block else None,
        wrapper=_flag(form, block, path, "wrapper", default=False),
    )


def _list(form: Form, block: Mapping[str, Any], name: str) -> Any:
    return form.items(block[name], (name,)) if name in block else ()


def _text(form: Form, block: Mapping[str, Any], path: Path, name: str) -> str:
    return form.text(block[name], (*path, name)) if name in block else ""


def _flag(form: Form, block: Mapping[str, Any], path: Path, name: str, *, default: bool) -> bool:
    return form.flag(block[name], (*path, name)) if name in block else default


def _globs(form: Form, block: Mapping[str, Any], path: Path, name: str) -> tuple[str, ...]:
    words = form.texts(block[name], (*path, name)) if block.get(name) else ()
    for n, glob in enumerate(words):
        if why := globs.unusable(glob):
            form.refuse((*path, name, n), why)
    return words


def _caps(form: Form, block: Mapping[str, Any], path: Path) -> Caps:
    try:
        return parse_caps(block["caps"]) if "caps" in block else Caps()
    except InvalidError as error:
        form.adopt(error, under=(*path, "caps"))
        return Caps()


def _schema(form: Form, block: Mapping[str, Any], path: Path) -> Mapping[str, Any] | None:
    if "arguments_schema" not in block:
        return None
    try:
        check_schema(block["arguments_schema"])
    except InvalidError as error:
        form.adopt(error, under=(*path, "arguments_schema"))
        return None
    schema: Mapping[str, Any] = block["arguments_schema"]
    return schema


def _argument_rules(form: Form, block: Mapping[str, Any], path: Path) -> tuple[Mapping[str, Any], ...]:
    try:
        check_argument_rules(block.get("argument_rules", ()))
    except InvalidError as error:
        form.adopt(error, under=(*path, "argument_rules"))
        return ()
    return tuple(block.get("argument_rules", ()))


def _approval(form: Form, value: Any, path: Path, tier: Tier) -> Requirement | None:
    try:
        return parse_approval(value, tier=tier, source="tool")
    except InvalidError as error:
        form.adopt(error, under=path)
        return None


def _entity(form: Form, value: object, path: Path) -> Entity:
    block = form.mapping(value, path, known=("type", "id", "properties"), required=("type", "id"))
    properties = block.get("properties", {})
    if not isinstance(properties, Mapping):
        form.expected((*path, "properties"), "a mapping", properties)
        properties = {}
    return Entity(type=_text(form, block, path, "type"), id=_text(form, block, path, "id"), properties=properties)
