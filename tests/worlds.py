"""A fresh tenant like the quickstart's, for one test: nobody else's rows in it, nothing of it in anybody else's way."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from evidence import clock
from evidence.ledger import Actor
from registry import blueprints, credentials, releases
from registry.models import Credential, Membership, Release, Tenant

_QUICKSTART = Path(__file__).parent.parent / "examples" / "quickstart"
BLUEPRINT = (_QUICKSTART / "blueprint.yaml").read_text()
POLICY = (_QUICKSTART / "policy.yaml").read_text()
SETUP = Actor("command", "tests")
PEOPLE = ("erin", "frank", "carol", "dana", "ada")
AGENT = "support-bot"


@dataclass(frozen=True, slots=True)
class World:
    """One tenant and what a test needs of it. Names in `people` are the short ones; usernames carry a suffix."""

    tenant: Tenant
    suffix: str
    people: Mapping[str, Membership]
    pep_key: str
    agent_key: str

    @property
    def slug(self) -> str:
        return self.tenant.slug

    @property
    def erin(self) -> Membership:
        return self.people["erin"]

    @property
    def frank(self) -> Membership:
        return self.people["frank"]

    @property
    def carol(self) -> Membership:
        return self.people["carol"]

    @property
    def dana(self) -> Membership:
        return self.people["dana"]

    @property
    def ada(self) -> Membership:
        return self.people["ada"]

    def username(self, name: str) -> str:
        return f"{name}-{self.suffix}"

    def actor(self, name: str) -> Actor:
        return Actor("person", self.username(name))

    def with_policy(self, text: str) -> Release:
        """Publish another policy; it holds from the next request."""
        return releases.publish(self.tenant, text, file="policy.yaml", actor=SETUP, now=clock.now())

    def apply(self, **members: Any) -> blueprints.Applied:
        """Apply a blueprint of this tenant with just these top-level members. Short usernames must carry the suffix."""
        text = yaml.safe_dump({"tenant": self.slug, **members})
        blueprint = blueprints.parse(text, file="more.yaml", read=lambda _: POLICY)
        applied = blueprints.apply(blueprint, actor=SETUP, now=clock.now())
        self.tenant.refresh_from_db()
        return applied

    def key(self, kind: str, **reach: Any) -> str:
        """One more credential, plain."""
        return credentials.issue(self.tenant, kind=kind, name=kind, actor=SETUP, now=clock.now(), **reach)

    def person_key(self, name: str, *scopes: str) -> str:
        return self.key("person", membership=self.people[name], scopes=scopes)

    def credential(self, token: str) -> Credential:
        """The row behind a plain key."""
        return Credential.objects.get(key_id=token.split("_")[2])


def world(
    *,
    policy: str | None = None,
    quorum: int | None = None,
    step_up: str | None = None,
    approval: Mapping[str, Any] | None = None,
    caps: Mapping[str, Any] | None = None,
    change: Mapping[str, Any] | None = None,
) -> World:
    """A tenant of its own with erin, frank, carol (finance), dana (support, admin), ada (auditor), support-bot and its
    three tools.

    `quorum` and `step_up` change the approval of refunds in the tool and in the policy's rule; `approval` and `caps`
    replace members of the refund tool's blocks; `policy` replaces the policy's text; `change` the blueprint's
    top-level members.
    """
    suffix = secrets.token_hex(5)
    wanted = yaml.load(BLUEPRINT, Loader=_LOADER)
    _rename(wanted, suffix)
    refund = wanted["tools"][0]
    agreed = {name: value for name, value in (("quorum", quorum), ("step_up", step_up)) if value is not None}
    refund["approval"] |= {**agreed, **(approval or {})}
    refund["caps"] = dict(caps) if caps is not None else refund["caps"]
    wanted |= {"tenant": f"acme-{suffix}", **(change or {})}
    text = policy if policy is not None else _agreeing(POLICY, agreed)
    blueprint = blueprints.parse(yaml.dump(wanted, Dumper=_DUMPER), file="blueprint.yaml", read=lambda _: text)
    now = clock.now()
    blueprints.apply(blueprint, actor=SETUP, now=now)
    tenant = Tenant.objects.get(slug=wanted["tenant"])
    members = {row.user.username: row for row in tenant.memberships.select_related("user__human", "tenant")}
    return World(
        tenant=tenant,
        suffix=suffix,
        people={name: members[f"{name}-{suffix}"] for name in PEOPLE if f"{name}-{suffix}" in members},
        pep_key=credentials.issue(tenant, kind="pep", name="gateway", actor=SETUP, now=now),
        agent_key=credentials.issue(tenant, kind="agent", name=AGENT, agents=[AGENT], actor=SETUP, now=now),
    )


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def _rename(wanted: dict[str, Any], suffix: str) -> None:
    for person in wanted["people"]:
        person["email"] = person["email"].replace("@", f"-{suffix}@")
        person["username"] += f"-{suffix}"
    for owned in (*wanted["agents"], *wanted["tools"]):
        owned["owner"] += f"-{suffix}"


def _agreeing(policy: str, agreed: Mapping[str, Any]) -> str:
    approval = {"teams": "[finance]", "quorum": 2, "step_up": "totp", **agreed}
    written = ", ".join(f"{name}: {value}" for name, value in approval.items())
    return policy.replace("{teams: [finance], quorum: 2, step_up: totp}", f"{{{written}}}")
