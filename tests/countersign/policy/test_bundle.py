"""Policy and registry to a bundle, and its parts replaced apart; releases signed and opened."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from countersign.policy import bundle
from countersign.policy.bundle import BadReleaseError, open_release
from countersign.policy.compile import compile_policy
from countersign.policy.release import PAYLOAD_TYPE
from countersign.policy.values import Outcome, Reason
from countersign.proof import canonical, dsse
from countersign.proof.keys import Signer
from tests.countersign.policy.samples import ALLOW_ALL, agent, build, judge, registry, rules, tool

SIGNER = Signer(name="releases", seed=b"1" * 32)
OTHER = Signer(name="releases", seed=b"2" * 32)
AT = datetime(2026, 11, 20, tzinfo=UTC)


class TestReplacing:
    def test_a_registry_change_counts_and_compiles_only_what_changed(self) -> None:
        first = build(known=registry(tools=[tool(), tool("payments.list")]))
        judge(first)

        second = bundle.with_registry(first, registry(tools=[tool(active=False), tool("payments.list")]), epoch=9)

        assert judge(second).reason is Reason.TOOL_INACTIVE
        assert judge(first).outcome is Outcome.ALLOW
        assert second.tools["payments.list"] is first.tools["payments.list"]
        assert second.agents["support-bot"] is first.agents["support-bot"]
        assert second.index is first.index
        assert second.epoch == 9

    def test_a_change_inside_a_schema_is_a_change(self) -> None:
        first = build()

        second = bundle.with_registry(first, registry(tools=[tool(arguments_schema={"maxProperties": 0})]))

        assert judge(second).reason is Reason.ARGUMENTS_SCHEMA
        assert second.tools["payments.refund"].schema_digest != first.tools["payments.refund"].schema_digest

    def test_a_policy_change_counts_and_compiles_nothing_registered(self) -> None:
        first = build()

        second = bundle.with_policy(first, compile_policy(rules("{id: no, effect: deny}"), revision=2))

        assert judge(second).outcome is Outcome.DENY
        assert second.tools is first.tools
        assert second.policy.revision == 2

    def test_an_agent_that_is_gone_is_unknown(self) -> None:
        first = build()
        judge(first)

        assert judge(bundle.with_registry(first, registry(agents=[agent("other")]))).reason is Reason.UNKNOWN_AGENT

    def test_a_bundle_cannot_be_changed(self) -> None:
        judged: Any = build()

        with pytest.raises(dataclasses.FrozenInstanceError):
            judged.epoch = 2
        with pytest.raises(TypeError):
            judged.tools["x"] = None


class TestRelease:
    def envelope(self, **changes: Any) -> dict[str, Any]:
        return bundle.sign(
            **(
                {"source_text": ALLOW_ALL, "revision": 3, "tenant": "acme", "signer": SIGNER, "published_at": AT}
                | changes
            )
        )

    def resigned(self, **changes: Any) -> dict[str, Any]:
        body = dsse.verify(self.envelope(), [SIGNER.verifier], PAYLOAD_TYPE)
        payload = {**canonical.loads(body), **changes}
        payload = {name: value for name, value in payload.items() if value is not None}
        return dsse.sign(canonical.dumps(payload), PAYLOAD_TYPE, SIGNER)

    def test_abuse_140_a_release_written_by_hand(self) -> None:
        for envelope in (
            {},
            {"payload": "e30=", "payloadType": PAYLOAD_TYPE, "signatures": []},
            self.envelope(signer=OTHER),
            self.envelope() | {"payload": self.envelope(source_text="version: 1\nrules: []\n")["payload"]},
            dsse.sign(b"{}", "application/other", SIGNER),
        ):
            with pytest.raises(BadReleaseError):
                open_release(envelope, [SIGNER.verifier], tenant="acme")

    @pytest.mark.parametrize(
        "changes",
        [{"v": 2}, {"revision": 0}, {"revision": True}, {"revision": "3"}, {"digest": "sha256:00"}, {"source": "x"},
         {"published_at": "yesterday"}, {"tenant": None}, {"extra": 1}, {"tenant": 5}],
    )  # fmt: skip
    def test_refuses_what_is_signed_but_is_no_release(self, changes: dict[str, Any]) -> None:
        with pytest.raises(BadReleaseError):
            open_release(self.resigned(**changes), [SIGNER.verifier])

    def test_refuses_another_tenants_release(self) -> None:
        with pytest.raises(BadReleaseError, match="another tenant"):
            open_release(self.envelope(tenant="evil"), [SIGNER.verifier], tenant="acme")

    @pytest.mark.parametrize("changes", [{"revision": 0}, {"published_at": AT.replace(tzinfo=None)}])
    def test_signs_nothing_that_could_not_be_opened(self, changes: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            self.envelope(**changes)

    def test_opens_what_was_signed(self) -> None:
        release = open_release(self.envelope(), [OTHER.verifier, SIGNER.verifier], tenant="acme")

        assert (release.revision, release.source, release.published_at) == (3, ALLOW_ALL, AT)
        assert release.digest == compile_policy(ALLOW_ALL).digest
