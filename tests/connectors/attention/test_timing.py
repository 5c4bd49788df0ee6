"""When a request is reminded of: pure arithmetic of its time."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from config.environment import Environment
from connectors import timing
from tests.connectors.sample import OPENED


def minutes(found) -> list[float]:
    return [(at - OPENED).total_seconds() / 60 for at in found]


class TestMoments:
    @pytest.mark.parametrize(
        ("lasts", "plan", "at"),
        [
            (15, (None, 2), [7.5, 13]), (3, (None, 2), [1, 1.5]), (2, (None, 2), [1]), (0.5, (None, 2), []),
            (60, (2, None, 30), [30, 58]), (4, (None, 2), [2]), (15, (), []), (10, (20,), []), (10, (0,), []),
        ],
    )  # fmt: skip
    def test_lie_inside_the_time_and_apart(self, lasts, plan, at):
        before = [None if one is None else timedelta(minutes=one) for one in plan]
        assert minutes(timing.moments(OPENED, OPENED + timedelta(minutes=lasts), before)) == at


class TestSettings:
    def test_read_the_plan(self):
        assert Environment(reminders="half, 2m,1h").remind_before == (None, timedelta(minutes=2), timedelta(hours=1))
        assert Environment(reminders="").remind_before == ()

    @pytest.mark.parametrize("given", [{"reminders": "soon"}, {"reminders": "half,-2m"}, {"attention_limit": 0},
                                       {"attention_window": "30s"}])  # fmt: skip
    def test_refuse_what_is_no_plan(self, given):
        with pytest.raises(ValidationError):
            Environment(**given)
