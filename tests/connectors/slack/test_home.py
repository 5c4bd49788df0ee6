"""App Home as a list of what waits: whose it is, what stands in it, and when it is drawn again."""

from collections.abc import Iterator

import pytest
from django.db import transaction

from connectors.models import Seen
from connectors.slack import home
from evidence import clock
from examples.lookalikes.slack.acme import user_id
from examples.lookalikes.slack.rules import complaints_about_view
from outbox import pump
from outbox.models import Job
from tests.approvals import asking
from tests.connectors.slack.house import House, connect, link
from tests.connectors.slack_world import SlackWorld, actions_in, slack_world, words_in
from tests.worlds import world


@pytest.fixture(scope="module")
def slack() -> Iterator[SlackWorld]:
    with slack_world(storm=False) as made:
        yield made


@pytest.fixture
def ours(slack: SlackWorld) -> House:
    made = world(quorum=2, step_up="none")
    slack.workspace.faults.clear()
    slack.workspace.homes.clear()
    connect(made.tenant, slack)
    for name in ("erin", "frank", "dana"):
        link(made.people[name], name)
    return House(made, slack)


def draw(house: House, who: str, **more: object) -> str:
    """The words on somebody's Home, drawn now."""
    identity = f"T0ACME/{user_id(who)}"
    home.draw({"tenant": house.world.tenant.pk, "user": user_id(who), "identity": identity, **more})
    shown = house.slack.home(who)
    assert shown is not None
    assert complaints_about_view(shown.shape) == []
    return words_in(shown.shape["blocks"])


def jobs(house: House, kind: str):
    return Job.objects.filter(tenant=house.world.slug, kind=kind, state="ready")


class TestDraw:
    def test_shows_what_waits_for_this_person_with_its_link_and_risk(self, ours):
        request = asking.opened(ours.world)
        said = draw(ours, "erin")
        assert "Waiting for your answer: 1" in said
        assert f"/requests/{request.pk}/|Read and answer>" in said
        assert "`support-bot`: `payments.refund` `create`" in said
        assert "risk 3 – high" in said
        assert "answer by <!date^" in said

    def test_shows_nobody_what_waits_for_others(self, ours):
        asking.opened(ours.world)
        assert "Nothing waits for your answer" in draw(ours, "dana")

    def test_shows_nothing_of_another_tenant(self, ours):
        asking.opened(world(quorum=2, step_up="none"))
        assert "Nothing waits for your answer" in draw(ours, "erin")

    def test_tells_a_stranger_how_to_link_and_nothing_else(self, ours):
        asking.opened(ours.world)
        said = draw(ours, "mallory")
        assert "/approvals link CODE" in said
        assert "support-bot" not in said

    def test_a_deactivated_member_is_a_stranger(self, ours):
        asking.opened(ours.world)
        ours.world.erin.active = False
        ours.world.erin.save(update_fields=["active"])
        assert "support-bot" not in draw(ours, "erin")

    def test_has_no_button_to_decide_with(self, ours):
        asking.opened(ours.world)
        draw(ours, "erin")
        assert actions_in(ours.slack.home("erin").shape["blocks"]) == []

    def test_shows_no_argument(self, ours):
        asking.opened(ours.world, made=asking.call(ours.world, {"order": "A-1", "amount": "250.00", "note": "hush"}))
        assert "hush" not in draw(ours, "erin")

    def test_abuse_059_a_long_list_is_cut_and_counted(self, ours):
        for _ in range(home.LISTED + 3):
            asking.opened(ours.world)
        said = draw(ours, "erin")
        assert said.count("Read and answer") == home.LISTED
        assert f"Waiting for your answer: {home.LISTED + 3}" in said
        assert "… and 3 more" in said

    def test_abuse_093_a_name_is_no_markup(self, ours):
        asking.opened(ours.world, made=asking.call(ours.world, action_name="<!channel>`*"))
        said = draw(ours, "erin")
        assert "<!channel>" not in said
        assert "`&lt;!channel&gt;⟨U+0060⟩*`" in said

    def test_without_an_account_nothing_is_drawn(self, slack):
        lonely = world()
        home.draw({"tenant": lonely.tenant.pk, "user": "U0ERIN", "identity": "T0ACME/U0ERIN"})

    @pytest.mark.parametrize(
        ("fault", "raised"),
        [({"status": 429, "retry_after": 3}, pump.Later), ({"error": "not_enabled"}, pump.Permanent)],
    )
    def test_abuse_134_a_refusal_is_put_off_or_given_up(self, ours, fault, raised):
        ours.slack.fault("views.publish", **fault)
        with pytest.raises(raised):
            draw(ours, "erin")


class TestAgain:
    def test_is_drawn_again_when_something_changes_for_those_who_opened_theirs(self, ours):
        draw(ours, "erin")
        asking.opened(ours.world)
        (job,) = jobs(ours, home.HOMES)
        home.draw_all(job.payload)
        (again,) = jobs(ours, home.HOME)
        home.draw(again.payload)
        assert "Waiting for your answer: 1" in words_in(ours.slack.home("erin").shape["blocks"])

    def test_is_not_drawn_for_those_who_never_opened_it(self, ours):
        draw(ours, "erin", again=True)
        asking.opened(ours.world)
        assert not jobs(ours, home.HOMES).exists()

    def test_many_changes_are_one_drawing(self, ours):
        draw(ours, "erin")
        for _ in range(5):
            asking.opened(ours.world)
        assert jobs(ours, home.HOMES).count() <= 2  # a turn may have ended between two of them
        assert all(job.run_at > job.created_at for job in jobs(ours, home.HOMES))

    def test_a_change_takes_no_name_that_other_changes_would_wait_for(self, ours):
        draw(ours, "erin")
        with transaction.atomic():
            asking.opened(ours.world)
            assert not jobs(ours, home.HOMES).exists()
        assert jobs(ours, home.HOMES).exists()

    def test_nothing_is_asked_for_by_a_change_that_rolls_back(self, ours):
        draw(ours, "erin")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            asking.opened(ours.world)
            raise ZeroDivisionError
        assert not jobs(ours, home.HOMES).exists()

    def test_who_opened_it_long_ago_is_forgotten(self, ours):
        draw(ours, "erin")
        key = f"{ours.world.tenant.pk}:T0ACME/U0ERIN"
        Seen.objects.filter(kind=home.OPENED, key=key).update(seen_at=clock.now() - home._LATELY)
        asking.opened(ours.world)
        assert not jobs(ours, home.HOMES).exists()
