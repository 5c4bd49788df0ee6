"""A request is told where its teams are, narrowed by tool group and risk; mail goes to those whom no channel reaches."""

import pytest

from connectors import notify, routing
from connectors.accounts import save
from connectors.models import Access
from evidence import clock
from registry.models import Channel
from tests.approvals import asking
from tests.worlds import SETUP, World, world


@pytest.fixture
def ours() -> World:
    made = world(quorum=2, step_up="none", change={"channels": []})
    made.tenant.memberships.update(identities={})
    return made


def slack(ours: World, key: str, teams=("finance",), **config) -> None:
    Channel.objects.create(tenant=ours.tenant, kind="slack", key=key, teams=list(teams), config=config)


def told(ours: World, **asked) -> list[str]:
    return [place.key for place in routing.places(asking.opened(ours, **asked)) if place.kind == "slack"]


class TestChannels:
    def test_leaves_out_what_asks_nobody(self, ours):
        slack(ours, "nobody", teams=())
        assert told(ours) == []

    def test_leaves_out_other_teams_and_other_tenants(self, ours):
        slack(ours, "support", teams=["support"])
        slack(world(), "theirs")
        assert told(ours) == []

    def test_goes_by_team(self, ours):
        slack(ours, "finance")
        slack(ours, "everybody", teams=(), tenant_wide=True)
        assert told(ours) == ["everybody", "finance"]

    def test_goes_by_tool_group(self, ours):
        slack(ours, "payments", tool_groups=["pay*"])
        slack(ours, "crm", tool_groups=["crm"])
        assert told(ours) == ["payments"]

    def test_leaves_a_tool_of_no_known_group_to_channels_of_all_groups(self, ours):
        slack(ours, "payments", tool_groups=["payments"])
        slack(ours, "all")
        assert told(ours, made=asking.call(ours, resource_id="unknown.tool")) == ["all"]

    def test_goes_by_risk(self, ours):
        slack(ours, "critical", min_risk_tier=4)
        slack(ours, "high", min_risk_tier=3)
        assert told(ours) == ["high"]

    def test_tells_a_request_of_no_known_tier_everywhere(self, ours):
        slack(ours, "critical", min_risk_tier=4)
        request = asking.opened(ours)
        request.risk_tier = None
        assert [place.key for place in routing.places(request)] == ["critical"]


class TestMail:
    @pytest.fixture(autouse=True)
    def _connected(self, ours):
        save(ours.tenant, "email", {"url": "smtp://127.0.0.1:1?from=bot@acme.test"}, actor=SETUP, now=clock.now())

    def people(self, ours: World, **asked) -> list[str]:
        places = routing.places(asking.opened(ours, **asked))
        return [str(place.config["person"]).split("-")[0] for place in places if place.kind == "email"]

    def known(self, ours: World, name: str, **identities: str) -> None:
        ours.people[name].identities = identities
        ours.people[name].save()

    def test_sends_nothing_where_the_tenant_sends_no_mail(self, ours):
        Access.objects.filter(tenant=ours.tenant).delete()
        assert self.people(ours) == []

    def test_reaches_everybody_who_may_answer_and_nobody_else(self, ours):
        ours.frank.active = False
        ours.frank.save()
        assert self.people(ours) == ["erin", "carol"]

    def test_leaves_out_who_is_on_the_asking_side(self, ours):
        principal = asking.Principal("user", ours.erin.user.email, verified=False)
        assert self.people(ours, made=asking.call(ours, principal=principal)) == ["frank", "carol"]

    def test_leaves_out_whom_a_channel_reaches(self, ours):
        self.known(ours, "erin", slack="T1/U1")
        self.known(ours, "frank", jira="5b10:frank")
        slack(ours, "finance")
        assert self.people(ours) == ["erin", "frank", "carol"], "nobody reads a Slack that is not connected"
        token = {"bot_token": "xoxb-1", "signing_secret": "s"}
        save(ours.tenant, "slack", token, actor=SETUP, now=clock.now())
        assert self.people(ours) == ["frank", "carol"]

    def test_reaches_who_wishes_for_mail_besides(self, ours):
        self.known(ours, "erin", slack="T1/U1", email="erin@acme.test")
        slack(ours, "finance")
        token = {"bot_token": "xoxb-1", "signing_secret": "s"}
        save(ours.tenant, "slack", token, actor=SETUP, now=clock.now())
        assert "erin" in self.people(ours)

    def test_keeps_addresses_out_of_keys_which_become_evidence(self, ours):
        places = routing.places(asking.opened(ours))
        assert all("@" not in place.key for place in places)
        assert {place.config["address"] for place in places} >= {ours.erin.user.email}

    def test_makes_no_place_of_a_system_that_is_not_connected(self, ours):
        slack(ours, "finance")
        reached = notify.reachable(asking.opened(ours))
        assert {place.kind for place in reached} == {"email"}
