"""An alert that somebody must act on reaches the tenant's administrators, once, without what the verifier wrote."""

from connectors import alarms
from outbox.models import Job
from tests.connectors.attention.world import crowd, settle
from tests.enforcement.machine import OUTCOMES, post
from tests.enforcement.test_custody import allowed


class TestDiverged:
    def test_is_told_the_administrators_once(self, database: None) -> None:
        with crowd() as here:
            evaluation_id = allowed(here.acme)
            said = {"status": "diverged", "detail": "paid twice"}
            reply = post(f"{OUTCOMES}/{evaluation_id}/verification", here.acme.key("verifier"), said)
            assert reply.status == 200
            settle(here, kinds=(alarms.ALARM,))
            alarms.tell(Job.objects.get(tenant=here.acme.slug, kind=alarms.ALARM).payload)
            settle(here, kinds=(alarms.ALARM,))
            (letter,) = here.letters("dana")
            words = letter.get_body(("plain",)).get_content()
            assert evaluation_id in words
            assert "support-bot · payments.refund" in words
            assert "paid twice" not in words
            assert not here.letters("erin")
