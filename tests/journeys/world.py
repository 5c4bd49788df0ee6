"""A fresh tenant like the quickstart's on a running installation, made with the commands an operator has."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.journeys.console import ROOT
from tests.journeys.server import Place
from tests.journeys.speakers import Browser, Pep, Person

_QUICKSTART = ROOT / "examples" / "quickstart"
POLICY = (_QUICKSTART / "policy.yaml").read_text()


@dataclass(frozen=True, slots=True)
class World:
    """One tenant. People's short names become usernames with its suffix."""

    place: Place
    url: str
    slug: str
    suffix: str
    key: str

    @property
    def pep(self) -> Pep:
        return Pep(self.url, self.key)

    def username(self, name: str) -> str:
        return f"{name}-{self.suffix}"

    def issue(self, *arguments: str) -> str:
        """One more key."""
        return self.place.manage("issue_key", "--tenant", self.slug, *arguments).split()[-1]

    def voter(self, name: str, *, url: str = "") -> Person:
        """A person with a key that may vote, and an authenticator."""
        username = self.username(name)
        secret = self.place.manage("enrol_totp", "--tenant", self.slug, username).split()[-1]
        key = self.issue("--person", username, "--scope", "read,vote")
        return Person(url or self.url, key, secret)

    def reader(self, name: str) -> Person:
        return Person(self.url, self.issue("--person", self.username(name)))

    def browser(self, name: str) -> Browser:
        """A person who has signed in on our pages."""
        link = self.place.manage("sign_in_link", self.username(name)).split()[-1]
        return Browser(self.url, urlsplit(link).path)

    def publish(self, policy: str) -> None:
        file = self.place.home / f"{self.slug}.policy.yaml"
        file.write_text(policy)
        self.place.manage("policy", "publish", str(file), "--tenant", self.slug)

    def export(self, out: Path, *selection: str) -> str:
        """Write a pack; the sealer's verification key."""
        printed = self.place.manage("export_evidence", "--tenant", self.slug, "--out", str(out), *selection)
        return printed.split("--key '")[1].split("'")[0]


def world(
    place: Place,
    url: str,
    *,
    policy: str = POLICY,
    approval: Mapping[str, Any] | None = None,
    caps: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    slug: str = "",
) -> World:
    """Apply the quickstart's blueprint under another name; `approval` and `caps` change the refund tool's blocks."""
    suffix = secrets.token_hex(4)
    wanted = yaml.safe_load((_QUICKSTART / "blueprint.yaml").read_text())
    for person in wanted["people"]:
        person["email"] = person["email"].replace("@", f"-{suffix}@")
        person["username"] += f"-{suffix}"
    for owned in (*wanted["agents"], *wanted["tools"]):
        owned["owner"] += f"-{suffix}"
    tool = wanted["tools"][0]
    tool["approval"] |= approval or {}
    tool["caps"] = dict(caps) if caps is not None else {}
    slug = slug or f"acme-{suffix}"
    wanted |= {"tenant": slug, "policy": f"{slug}.policy.yaml", **({"settings": dict(settings)} if settings else {})}
    (place.home / f"{slug}.policy.yaml").write_text(policy)
    file = place.home / f"{slug}.yaml"
    file.write_text(yaml.safe_dump(wanted))
    place.manage("apply", "-f", str(file))
    key = place.manage("issue_key", "--tenant", slug, "--pep", "gateway").split()[-1]
    return World(place, url, slug, suffix, key)
