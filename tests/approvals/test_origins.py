"""An origin is a closed value of a known kind, or it is refused with the member's name."""

import pytest

from approvals import origins
from approvals.origins import BadOrigin, Origin

SLACK = {"kind": "slack", "channel": "C0SUPPORT", "thread": "1718000000.000100"}
JIRA = {"kind": "jira", "issue": "OPS-12"}
SERVICENOW = {"kind": "servicenow", "record": "CHG0030001"}


class TestParse:
    @pytest.mark.parametrize(
        "said",
        [
            None, [], "slack", 7, {}, {"kind": None}, {"kind": ["slack"]}, {"kind": "pigeon", "loft": "a"},
            {"kind": "email", "address": "a@acme.test"}, {"kind": "webhook", "url": "http://127.0.0.1/"},
        ],
    )  # fmt: skip
    def test_refuses_what_names_no_known_system(self, said):
        with pytest.raises(BadOrigin, match=r"context\.origin"):
            origins.parse(said)

    @pytest.mark.parametrize(
        "said",
        [
            {"kind": "slack", "channel": "C0SUPPORT"},
            {"kind": "slack", "thread": "1718000000.000100"},
            {**SLACK, "text": "<!channel>"},
            {**SLACK, "thread_ts": "1718000000.000100"},
            {**SLACK, "issue": "OPS-12"},
            {**JIRA, "project": "OPS"},
            {**SERVICENOW, "table": "sys_user"},
        ],
    )
    def test_refuses_a_member_too_many_or_too_few(self, said):
        with pytest.raises(BadOrigin, match="exactly the members kind"):
            origins.parse(said)

    @pytest.mark.parametrize(
        ("said", "name"),
        [
            *[
                ({**SLACK, "channel": name}, "channel")
                for name in ("", "#support", "support", "U0ERIN", "D0ERIN", "c0support", "C0SUPPORT\n", "C0/1", "C" * 40,
                             "C０SUPPORT", None, 7, ["C0SUPPORT"], "C0SUPPORT&thread_ts=1")
            ],
            *[
                ({**SLACK, "thread": name}, "thread")
                for name in ("", "1718", "1718000000.0001", "1718000000.000100\n", " 1718000000.000100", "17180000001.000100",
                             "-718000000.000100", "1718000000,000100", "１718000000.000100", 1718000000.0001, None,
                             "1718000000.000100&channel=C0SECRET")
            ],
            *[
                ({**JIRA, "issue": name}, "issue")
                for name in ("", "OPS", "ops-12", "OPS-0", "OPS-012", "OPS-12/comment", "../OPS-12", "OPS-12\n", "OPS-12?x",
                             "OPS-" + "1" * 11, "A-1", 12, None)
            ],
            *[
                ({**SERVICENOW, "record": name}, "record")
                for name in ("", "30001", "CHG", "chg0030001", "CHG0030001^ORnumberISNOTEMPTY", "CHG0030001\n",
                             "CHG" + "1" * 21, "6816f79cc0a8016401c5a33be04be441", None)
            ],
        ],
    )  # fmt: skip
    def test_refuses_what_is_no_such_name(self, said, name):
        with pytest.raises(BadOrigin, match=rf"context\.origin\.{name}"):
            origins.parse(said)

    @pytest.mark.parametrize("said", [SLACK, JIRA, SERVICENOW])
    def test_takes_the_names_as_they_are(self, said):
        members = {name: value for name, value in said.items() if name != "kind"}
        assert origins.parse(said) == Origin(said["kind"], members)
