"""A tenant of its own with nobody else's jobs in its way, and an endpoint that hears what is sent."""

from collections.abc import Iterator

import pytest
from django.conf import settings

from outbox.models import Job, State
from tests.connectors.webhook.receiver import Receiver, receiver
from tests.worlds import World, world

ALLOWED = "127.0.0.0/8"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of other tests are nobody's business here, and loopback is a network that callbacks may reach."""
    Job.objects.filter(state=State.READY).update(state=State.DONE, dedupe=None)
    monkeypatch.setattr(settings, "COUNTERSIGN", settings.COUNTERSIGN.model_copy(update={"callback_networks": ALLOWED}))


@pytest.fixture
def here() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def own(database: None) -> World:
    return world(quorum=1, step_up="none", caps={})
