"""One exchange without a network and without a clock: when to send again, and when to give up."""

import pytest

from countersign.pep.answer import Unavailable
from countersign.pep.exchange import Lost, Message, Patience, Pause, Reply, exchange

ASK = Message(method="POST", path="/x", timeout=1.0)
BUSY = Reply(status=429, headers={"retry-after": "3"}, body=b"")


def steps(now: list[float] | None = None, total: float = 10.0):
    clock = now or [0.0]
    return exchange(ASK, Patience(total=total, clock=lambda: clock[0], jitter=lambda: 0.5))


class TestExchange:
    def test_gives_up_at_once_on_a_timeout(self):
        talk = steps()
        next(talk)
        with pytest.raises(Unavailable):
            talk.send(Lost(reason="slow", again=False))

    def test_gives_up_when_the_pause_would_end_too_late(self):
        talk = steps(total=3.0)
        next(talk)
        with pytest.raises(Unavailable):
            talk.send(BUSY)

    @pytest.mark.parametrize("value", ["Fri, 20 Nov 2026 10:00:00 GMT", "-1", "1.5", "١", "soon"])
    def test_gives_up_on_a_retry_after_that_is_no_number_of_seconds(self, value):
        talk = steps()
        next(talk)
        with pytest.raises(Unavailable):
            talk.send(Reply(status=503, headers={"retry-after": value}, body=b""))

    def test_pauses_as_long_as_retry_after_says_and_sends_the_same_again(self):
        talk = steps()
        assert next(talk) is ASK
        assert talk.send(BUSY) == Pause(seconds=3.0)
        assert talk.send(None) is ASK

    def test_pauses_longer_each_time(self):
        talk = steps()
        next(talk)
        pauses = []
        for _ in range(6):
            pauses.append(talk.send(Lost(reason="broken", again=True)).seconds)
            talk.send(None)
        assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]

    def test_begins_no_try_after_its_time(self):
        now = [0.0]
        talk = steps(now)
        next(talk)
        now[0] = 9.95
        with pytest.raises(Unavailable):
            talk.send(Lost(reason="broken", again=True))
