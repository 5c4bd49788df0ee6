"""Every reason code has words."""

from approvals import reasons
from countersign.policy.values import Reason


class TestWords:
    def test_are_there_for_every_code_and_no_two_codes_share_them(self):
        told = [reasons.words(reason) for reason in Reason]
        assert len(set(told)) == len(Reason)
        assert not set(told) & set(Reason)

    def test_of_a_code_nobody_knows_are_the_code(self):
        assert reasons.words("of_a_later_version") == "of_a_later_version"
