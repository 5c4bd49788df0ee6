"""One request in Slack, in Jira and on the web at once: whoever is first decides, and every surface tells the same."""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.slack.card import APPROVE, DENY
from examples.lookalikes.jira.server import Jira
from examples.lookalikes.jira.site import Issue, Site
from examples.lookalikes.jira.site import Person as JiraPerson
from examples.lookalikes.slack.acme import APPROVALS, user_id
from examples.lookalikes.slack.workspace import Message
from tests import environment
from tests.connectors.slack_world import SlackWorld, actions_in, words_in
from tests.journeys.server import Place, Server, until
from tests.journeys.speakers import Person
from tests.journeys.world import POLICY, World, world

NAMES = ("erin", "frank", "carol")
TRANSITIONS = {"approved": "Approve", "denied": "Decline"}
IN_JIRA = {"approved": "Approved", "denied": "Declined"}


@dataclass
class Everywhere:
    """A tenant that asks on three surfaces, and its people's hands on each."""

    acme: World
    slack: SlackWorld
    jira: Jira
    in_jira: dict[str, JiraPerson]
    on_web: dict[str, Person]

    def card(self, request_id: str) -> Message | None:
        cards = [one for one in self.slack.messages() if request_id in str(one.blocks) and not one.thread_ts]
        return cards[0] if cards else None

    def issue(self, request_id: str) -> Issue | None:
        found = [one for one in self.jira.site.issues.values() if request_id in one.fields["labels"]]
        assert len(found) <= 1
        return found[0] if found else None

    def asked(self) -> str:
        """A request that stands on all three."""
        request_id = self.acme.pep.pending(f"{secrets.randbelow(800) + 100}.00", transaction=secrets.token_hex(4))
        until(lambda: self.card(request_id) and self.issue(request_id))
        return request_id

    def presses(self, name: str, request_id: str) -> Callable[[], object]:
        card = self.card(request_id)
        assert card
        return lambda: self.slack.press(name, card.ts, APPROVE)

    def comments(self, name: str, request_id: str, words: str) -> Callable[[], object]:
        issue = self.issue(request_id)
        assert issue
        return lambda: self.jira.site.comment(issue, words, by=self.in_jira[name])

    def votes(self, name: str, request_id: str, decision: str) -> Callable[[], object]:
        seen = self.on_web[name].read(request_id)["display"]["hash"]
        return lambda: self.on_web[name].cast(request_id, decision, seen=seen)

    def web(self, request_id: str) -> dict[str, Any]:
        return self.on_web["carol"].read(request_id)

    def tells(self, request_id: str) -> dict[str, object]:
        """What each surface tells of it now."""
        card, issue = self.card(request_id), self.issue(request_id)
        assert card
        assert issue
        words = words_in(card.blocks).lower()
        return {
            "web": self.web(request_id)["status"],
            "slack": next((end for end in IN_JIRA if f"{end} by" in words), words),
            "slack's buttons": {APPROVE, DENY} & set(actions_in(card.blocks)),
            "jira": issue.status,
            "jira's summary": issue.fields["summary"].split(":")[0].lower(),
            "jira's command": "/approve" in issue.fields["description"],
        }

    def ends(self, request_id: str, status: str) -> None:
        """Each surface tells this end, and none offers to answer any more."""
        wanted = {"web": status, "slack": status, "slack's buttons": set(), "jira": IN_JIRA[status],
                  "jira's summary": status, "jira's command": False}  # fmt: skip
        with suppress(TimeoutError):
            until(lambda: self.tells(request_id) == wanted)
        assert self.tells(request_id) == wanted


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everywhere]:
    home, secret = tmp_path_factory.mktemp("everywhere"), secrets.token_urlsafe(24)
    with ExitStack() as stack:
        place = Place.postgres(home, environment.DATABASE_URL) if environment.DATABASE_URL else Place.sqlite(home)
        stack.callback(place.dispose)
        slack, jira = stack.enter_context(SlackWorld()), stack.enter_context(Jira(Site(storm=None)))
        jira.site.add_project("OPS")
        server = stack.enter_context(Server(place, **_settings(slack, jira, secret)))
        slack.workspace.request_url = f"{server.url}/slack/events"
        jira.hooks.add(f"{server.url}/jira/webhook", secret)
        yield _connected(place, server, slack, jira)


def _settings(slack: SlackWorld, jira: Jira, secret: str) -> dict[str, str]:
    return {
        "COUNTERSIGN_SLACK_BOT_TOKEN": slack.workspace.bot_token,
        "COUNTERSIGN_SLACK_SIGNING_SECRET": slack.workspace.signing_secret,
        "COUNTERSIGN_SLACK_API_URL": slack.api_url,
        "COUNTERSIGN_JIRA_URL": jira.url,
        "COUNTERSIGN_JIRA_EMAIL": jira.site.email,
        "COUNTERSIGN_JIRA_TOKEN": jira.site.token,
        "COUNTERSIGN_JIRA_WEBHOOK_SECRET": secret,
        "COUNTERSIGN_ATTENTION_LIMIT": "100",
    }


def _connected(place: Place, server: Server, slack: SlackWorld, jira: Jira) -> Everywhere:
    policy = POLICY.replace("quorum: 2", "quorum: 1").replace("step_up: totp", "step_up: none")
    acme = world(place, server.url, policy=policy, approval={"quorum": 1, "step_up": "none"})
    in_jira = {name: jira.site.add_person(name) for name in NAMES}
    people = [
        {
            "username": acme.username(name), "email": f"{name}-{acme.suffix}@acme.test", "teams": ["finance"],
            "slack": f"{slack.workspace.team_id}/{user_id(name)}", "jira": in_jira[name].id,
        }
        for name in NAMES
    ]  # fmt: skip
    channels = [
        {"kind": "slack", "channel": APPROVALS, "teams": ["finance"]},
        {"kind": "jira", "project": "OPS", "teams": ["finance"], "transitions": TRANSITIONS},
    ]
    _apply(place, {"tenant": acme.slug, "people": people, "channels": channels})
    keys = {name: acme.issue("--person", acme.username(name), "--scope", "read,vote") for name in NAMES}
    return Everywhere(acme, slack, jira, in_jira, {name: Person(server.url, key) for name, key in keys.items()})


def _apply(place: Place, blueprint: dict[str, Any]) -> None:
    file = Path(place.home) / "everywhere.yaml"
    file.write_text(yaml.safe_dump(blueprint))
    place.manage("apply", "-f", str(file))


def at_once(*acts: Callable[[], object]) -> list[Any]:
    with ThreadPoolExecutor(len(acts)) as pool:
        return [each.result() for each in [pool.submit(act) for act in acts]]


class TestEverywhere:
    @pytest.mark.parametrize("first", ["slack", "jira", "web"])
    def test_the_first_answer_decides_and_all_three_tell_it(self, everywhere: Everywhere, first: str):
        request_id = everywhere.asked()
        act = {
            "slack": lambda: everywhere.presses("erin", request_id),
            "jira": lambda: everywhere.comments("erin", request_id, "/approve"),
            "web": lambda: everywhere.votes("erin", request_id, "approve"),
        }[first]()
        act()
        everywhere.ends(request_id, "approved")
        (vote,) = everywhere.web(request_id)["votes"]
        assert vote["surface"] == {"web": "api"}.get(first, first)

    @pytest.mark.parametrize("_turn", range(3))
    def test_abuse_043_three_people_race_on_three_surfaces_and_there_is_one_end(
        self, everywhere: Everywhere, _turn: int
    ):
        request_id = everywhere.asked()
        _, _, cast = at_once(
            everywhere.presses("erin", request_id),
            everywhere.comments("frank", request_id, "/deny not today"),
            everywhere.votes("carol", request_id, "approve"),
        )
        assert cast.status_code in {201, 409}
        until(lambda: everywhere.web(request_id)["status"] != "pending")
        status = everywhere.web(request_id)["status"]
        everywhere.ends(request_id, status)
        (vote,) = everywhere.web(request_id)["votes"]
        assert status == {"approve": "approved", "deny": "denied"}[vote["decision"]]

    def test_abuse_039_one_person_on_three_surfaces_is_one_vote(self, everywhere: Everywhere):
        request_id = everywhere.asked()
        at_once(
            everywhere.presses("erin", request_id),
            everywhere.comments("erin", request_id, "/approve"),
            everywhere.votes("erin", request_id, "approve"),
        )
        everywhere.ends(request_id, "approved")
        assert len(everywhere.web(request_id)["votes"]) == 1
