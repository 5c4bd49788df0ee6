"""Blueprint text in, wanted rows out; or every mistake in it, each with file, line and column. No database."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from countersign.policy import source, tools, waiver_terms
from countersign.policy.faults import Fault, Form, InvalidError, Path
from countersign.policy.source import Node, PolicyErrors, Problem
from countersign.policy.values import Tier
from countersign.proof import canonical
from registry import people
from registry.blueprints import channels, issuers, reading
from registry.blueprints.reading import MAX_ID, MAX_NAME
from registry.models import Role

MAX_ENTITY = 300
MAX_OPEN_REQUESTS = 10_000
SLUG = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
IDENTITIES = ("slack", "jira", "servicenow")

_TOP = (
    "tenant", "settings", "people", "teams", "agents", "tools", "entities", "channels", "waivers", "policy",
    "prune", "issuers",
)  # fmt: skip
_TOOL = (
    "id", "group", "owner", "risk_tier", "methods", "data_classes", "caps", "arguments_schema", "argument_rules",
    "approval", "verified_principal", "wrapper", "descriptor_digest", "active",
)  # fmt: skip

Read = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Item:
    """One row the blueprint names: its kind and key, the members it sets (as `registry.describe` writes them), where.

    A member that is absent in `fields` is left as it is. `email` and `display` are what `fields` may not carry.
    """

    kind: str
    key: str
    fields: Mapping[str, Any]
    path: Path
    email: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy file a blueprint names."""

    file: str
    text: str


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What should exist in one tenant. `root` knows the places of everything in it."""

    tenant: str
    items: tuple[Item, ...]
    root: Node = field(repr=False)
    policy: Policy | None = None
    prune: bool = False

    def of(self, kind: str) -> Iterator[Item]:
        return (item for item in self.items if item.kind == kind)

    def problems(self, faults: Sequence[Fault]) -> PolicyErrors:
        """Faults found later, against the database, at their places in the text."""
        return PolicyErrors([_problem(self.root, fault) for fault in faults])


def parse(text: str, *, file: str, read: Read) -> Blueprint:
    """The blueprint in `text`; `read` answers the text of the policy file it names. Raises PolicyErrors."""
    root, problems = source.read(text, file=file)
    form = Form()
    blueprint = _blueprint(form, root.plain(), root, read)
    faults = form.faults if root.value or not problems else []  # nothing could be read: its own problem says enough
    if faults or problems:
        raise PolicyErrors([*problems, *(_problem(root, fault) for fault in faults)])
    return blueprint


def _problem(root: Node, fault: Fault) -> Problem:
    line, column = root.place(fault.path, key=fault.key, offset=fault.offset)
    return Problem(root.file, line, column, fault.message)


def _blueprint(form: Form, value: Mapping[str, Any], root: Node, read: Read) -> Blueprint:
    top = form.mapping(value, (), known=_TOP, required=("tenant",))
    tenant = reading.matching(
        form, top.get("tenant", "x"), ("tenant",), SLUG, "a name of a-z, 0-9 and - (it names the log)"
    )
    items = [
        *_settings(form, top.get("settings", {})),
        *_each(form, top, "teams", _team),
        *_each(form, top, "people", _person),
        *_each(form, top, "agents", _agent),
        *_each(form, top, "issuers", _issuer),
        *_each(form, top, "tools", _tool),
        *_each(form, top, "entities", _entity),
        *_each(form, top, "channels", _channel),
        *_each(form, top, "waivers", _waiver),
    ]
    _refuse_doubles(form, items)
    return Blueprint(
        tenant=tenant,
        items=tuple(items),
        root=root,
        policy=_policy(form, top["policy"], read) if "policy" in top else None,
        prune=form.flag(top.get("prune", False), ("prune",)),
    )


def _settings(form: Form, value: object) -> Iterator[Item]:
    path: Path = ("settings",)
    block = form.mapping(value, path, known=("name", "keep_arguments", "max_open_requests", "chat_codes"))
    fields: dict[str, Any] = {}
    if "name" in block:
        fields["name"] = form.text(block["name"], (*path, "name"))
    for name in ("keep_arguments", "chat_codes"):
        if name in block:
            fields[name] = form.flag(block[name], (*path, name))
    if "max_open_requests" in block:
        fields["max_open_requests"] = form.whole(
            block["max_open_requests"], (*path, "max_open_requests"), least=1, most=MAX_OPEN_REQUESTS
        )
    if fields:
        yield Item("tenant", "settings", fields, path)


def _each(
    form: Form, top: Mapping[str, Any], name: str, reader: Callable[[Form, Any, Path], Item | None]
) -> Iterator[Item]:
    for n, value in enumerate(form.items(top.get(name, ()), (name,))):
        item = reader(form, value, (name, n))
        if item and item.key:
            yield _representable(form, item)


def _representable(form: Form, item: Item) -> Item:
    """What cannot be written into evidence exactly is refused before it reaches a row."""
    try:
        canonical.dumps(dict(item.fields))
    except canonical.NotCanonical as error:
        form.refuse(item.path, f"holds a value that cannot be kept exactly: {error}")
    return item


def _team(form: Form, value: object, path: Path) -> Item | None:
    block = form.mapping(value, path, known=("name",), required=("name",))
    name = reading.identifier(form, block, path, "name", MAX_NAME)
    return Item("team", name, {"name": name}, path)


def _person(form: Form, value: object, path: Path) -> Item | None:
    known = ("username", "email", "teams", "roles", *IDENTITIES, "mail", "active")
    block = form.mapping(value, path, known=known, required=("username", "email"))
    username, email = (
        reading.identifier(form, block, path, "username", 150),
        reading.identifier(form, block, path, "email", 320),
    )
    if email and not _is_address(email):
        form.refuse((*path, "email"), f"{email!r} is no e-mail address")
    if username and email:
        try:
            people.check_username(username, email=email)
        except people.BadUsername as error:
            form.refuse((*path, "username"), str(error))
    identities = {name: form.text(block[name], (*path, name)) for name in IDENTITIES if name in block}
    if "mail" in block:
        identities["email"] = "always" if form.flag(block["mail"], (*path, "mail")) else ""
    fields = {
        "teams": sorted(reading.texts(form, block, path, "teams")),
        "roles": sorted(_roles(form, block, path)),
        "identities": identities,
        **reading.active(form, block, path),
    }
    return Item("person", username, fields, path, email=email)


def _roles(form: Form, block: Mapping[str, Any], path: Path) -> Sequence[str]:
    roles = reading.texts(form, block, path, "roles")
    for n, role in enumerate(roles):
        form.choice(role, (*path, "roles", n), Role)
    return roles


def _agent(form: Form, value: object, path: Path) -> Item | None:
    known = ("id", "owner", "team", "intents", "tool_groups", "active")
    block = form.mapping(value, path, known=known, required=("id", "owner", "team"))
    fields = {
        "owner": reading.identifier(form, block, path, "owner", 150),
        "team": reading.identifier(form, block, path, "team", MAX_NAME),
        "intents": list(reading.texts(form, block, path, "intents")),
        "tool_groups": list(reading.texts(form, block, path, "tool_groups")),
        **reading.active(form, block, path),
    }
    return Item("agent", reading.identifier(form, block, path, "id", MAX_ID), fields, path)


def _issuer(form: Form, value: object, path: Path) -> Item | None:
    """Whose word counts for who speaks: an issuer of tokens, or one identity of a client certificate."""
    known = ("id", *issuers.TOKEN, *issuers.CERTIFICATE, "active")
    block = form.mapping(value, path, known=known, required=("id",))
    fields = {**issuers.fields(form, block, path), **reading.active(form, block, path)}
    return Item("issuer", reading.identifier(form, block, path, "id", MAX_ID), fields, path)


def _tool(form: Form, value: object, path: Path) -> Item | None:
    block = form.mapping(value, path, known=_TOOL, required=("id", "group", "owner", "risk_tier", "methods"))
    tier = form.whole(block.get("risk_tier", 1), (*path, "risk_tier"), least=1, most=4)
    fields: dict[str, Any] = {
        "group": reading.identifier(form, block, path, "group", MAX_NAME),
        "owner": reading.identifier(form, block, path, "owner", 150),
        "risk_tier": tier,
        "methods": list(form.texts(block["methods"], (*path, "methods"))) if "methods" in block else [],
        "data_classes": list(reading.texts(form, block, path, "data_classes")),
        "caps": block.get("caps", {}),
        "arguments_schema": block.get("arguments_schema"),
        "argument_rules": block.get("argument_rules", []),
        "approval": block.get("approval", {}),
        "verified_principal": form.flag(block.get("verified_principal", False), (*path, "verified_principal")),
        "wrapper": form.flag(block.get("wrapper", False), (*path, "wrapper")),
        "descriptor_digest": reading.matching(
            form, block["descriptor_digest"], (*path, "descriptor_digest"), "sha256:[0-9a-f]{64}", "sha256:<64 hex>"
        ) if "descriptor_digest" in block else "",
        **reading.active(form, block, path),
    }  # fmt: skip
    _check(form, block, path, "caps", tools.parse_caps)
    _check(form, block, path, "arguments_schema", tools.check_schema)
    _check(form, block, path, "argument_rules", tools.check_argument_rules)
    _check(form, block, path, "approval", lambda value: tools.parse_approval(value, tier=Tier(tier), source="tool"))
    return Item("tool", reading.identifier(form, block, path, "id", MAX_ID), fields, path)


def _check(form: Form, block: Mapping[str, Any], path: Path, name: str, check: Callable[[Any], object]) -> None:
    if name in block:
        try:
            check(block[name])
        except InvalidError as error:
            form.adopt(error, under=(*path, name))


def _entity(form: Form, value: object, path: Path) -> Item | None:
    block = form.mapping(value, path, known=("type", "id", "properties"), required=("type", "id"))
    type_, id_ = (
        reading.identifier(form, block, path, "type", MAX_NAME),
        reading.identifier(form, block, path, "id", MAX_ENTITY),
    )
    if ":" in type_:
        form.refuse((*path, "type"), "a type has no colon")
    if type_ in {"agent", "tool"}:
        form.refuse((*path, "type"), f"{type_}s have their own list: {type_}s")
    properties = block.get("properties", {})
    if not isinstance(properties, Mapping):
        form.expected((*path, "properties"), "a mapping", properties)
    return Item("entity", f"{type_}:{id_}" if type_ and id_ else "", {"properties": properties}, path)


def _channel(form: Form, value: object, path: Path) -> Item | None:
    found = channels.read(form, value, path)
    return Item("channel", *found, path) if found else None


def _waiver(form: Form, value: object, path: Path) -> Item | None:
    """Terms that a person may ask for. Whether they could be granted is judged when somebody does."""
    if not isinstance(value, Mapping):
        form.expected(path, "a mapping", value)
        return None
    if "id" not in value:
        form.refuse(path, "'id' is missing")
    try:
        terms = waiver_terms.read({name: part for name, part in value.items() if name != "id"})
    except InvalidError as error:
        form.adopt(error, under=path)
        return None
    return Item(
        "waiver_draft", reading.identifier(form, value, path, "id", MAX_ID), {"terms": dict(terms.written)}, path
    )


def _policy(form: Form, value: object, read: Read) -> Policy | None:
    name = form.text(value, ("policy",))
    if not name:
        return None
    try:
        return Policy(name, read(name))
    except (OSError, UnicodeError) as error:
        form.refuse(("policy",), f"cannot read {name!r}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}")
        return None


def _refuse_doubles(form: Form, items: Sequence[Item]) -> None:
    first: dict[tuple[str, str], Path] = {}
    for item in items:
        for kind, key in ((item.kind, item.key), *_identities(item)):
            if (kind, key) in first:
                form.refuse(item.path, f"{kind} {key!r} is there already")
            first.setdefault((kind, key), item.path)


def _identities(item: Item) -> Iterator[tuple[str, str]]:
    """Two people with one chat identity would be one click with two votes; two entries for one token, two callers."""
    if item.kind == "issuer":
        yield "issuer and audience", f"{item.fields['issuer']} {item.fields.get('audience', '')}".strip()
    identities = item.fields.get("identities", {})
    yield from ((f"{name} identity", identities[name]) for name in IDENTITIES if identities.get(name))


def _is_address(text: str) -> bool:
    local, at, domain = text.rpartition("@")
    return bool(local and at and domain) and " " not in text and "@" not in local


def with_policy(blueprint: Blueprint, text: str, *, file: str = "policy.yaml") -> Blueprint:
    """The same blueprint with another policy."""
    return replace(blueprint, policy=Policy(file, text))
