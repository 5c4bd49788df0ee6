"""Bundle and call in, verdict out."""

from datetime import timedelta
from typing import Any

import pytest

from countersign.policy.tools import parse_approval
from countersign.policy.values import Mode, Outcome, Principal, Reason, Registry, StepUp, Tier
from tests.countersign.policy.samples import ALLOW_ALL, APPROVAL, agent, build, judge, record, registry, rules, tool

ESCALATE = "{id: ask, effect: escalate}"


class TestRegistry:
    @pytest.mark.parametrize(
        ("known", "changes", "reason"),
        [
            (registry(), {"subject_id": "nobody"}, Reason.UNKNOWN_AGENT),
            (registry(agents=[agent(active=False)]), {}, Reason.AGENT_INACTIVE),
            (registry(), {"resource_id": "payments.steal"}, Reason.UNKNOWN_TOOL),
            (registry(tools=[tool(active=False)]), {}, Reason.TOOL_INACTIVE),
            (registry(agents=[agent(tool_groups=("crm",))]), {}, Reason.TOOL_GROUP),
            (registry(agents=[agent(tool_groups=())]), {}, Reason.TOOL_GROUP),
            (registry(agents=[agent(tool_groups=("pay",))]), {}, Reason.TOOL_GROUP),
            (registry(), {"action_name": "delete"}, Reason.METHOD),
            (registry(), {"action_name": "CREATE"}, Reason.METHOD),
            (registry(), {"intent": "world-domination"}, Reason.INTENT),
            (registry(), {"intent": None}, Reason.INTENT),
            (registry(agents=[agent(intents=())]), {}, Reason.INTENT),
            (registry(tools=[tool(requires_verified_principal=True)]), {}, Reason.PRINCIPAL),
            (
                registry(tools=[tool(requires_verified_principal=True)]),
                {"principal": Principal("user", "dana")},
                Reason.PRINCIPAL,
            ),
            (registry(), {"arguments": {"order": "A"}}, Reason.ARGUMENTS_SCHEMA),
            (
                registry(tools=[tool(argument_rules=({"argument": "order", "sql": ["select"]},))]),
                {},
                Reason.ARGUMENT_RULE,
            ),
        ],
    )
    def test_denies_before_any_rule_is_asked(self, known: Registry, changes: dict[str, Any], reason: Reason) -> None:
        for mode in Mode:
            verdict = judge(build(f"{ALLOW_ALL}mode: {mode}\n", known), **changes)

            assert (verdict.outcome, verdict.reason) == (Outcome.DENY, reason)
            assert verdict.registry_denied
            assert verdict.mode is mode

    def test_abuse_019_an_unknown_tool(self) -> None:
        assert judge(build(), resource_id="payments.steal").reason is Reason.UNKNOWN_TOOL

    def test_abuse_020_arguments_off_the_schema(self) -> None:
        verdict = judge(build(), arguments={"order": "A", "amount": "250.00", "secret-cc": "mallory@evil.test"})

        assert verdict.reason is Reason.ARGUMENTS_SCHEMA
        assert "mallory" not in str(verdict)
        assert "secret-cc" not in str(verdict)
        assert verdict.reasons[0].message == "The arguments do not fit the tool's schema at /additionalProperties."

    def test_messages_never_hold_argument_values(self) -> None:
        known = registry(tools=[tool(arguments_schema=None, argument_rules=({"argument": "q", "sql": ["select"]},))])

        for text in ("drop table hunter2", "select hunter2(1)", "hunter2 (", "select 1; hunter2"):
            verdict = judge(build(known=known), arguments={"q": text})
            assert verdict.reason is Reason.ARGUMENT_RULE
            assert "hunter2" not in str(verdict)

    def test_the_first_reason_in_the_documented_order_is_told(self) -> None:
        known = registry(agents=[agent(active=False, tool_groups=(), intents=())], tools=[tool(active=False)])

        assert judge(build(known=known), action_name="x", arguments={}).reason is Reason.AGENT_INACTIVE

    @pytest.mark.parametrize(
        ("intents", "intent"), [((), None), (("*",), None), (("**", "x"), None), (("lookup.*",), "lookup.eu")]
    )
    def test_lets_a_fitting_intent_pass(self, intents: tuple[str, ...], intent: str | None) -> None:
        known = registry(agents=[agent(intents=intents)])

        assert judge(build(known=known), intent=intent).outcome is Outcome.ALLOW

    def test_a_tool_whose_schema_cannot_be_compiled_is_never_called(self) -> None:
        known = registry(tools=[tool(arguments_schema={"type": "strin"})])

        assert judge(build(known=known)).reason is Reason.ARGUMENTS_SCHEMA

    def test_abuse_147_a_pattern_that_would_stall_another_engine(self) -> None:
        schema = {"properties": {"order": {"type": "string", "pattern": "^(a+)+$"}}}
        known = registry(tools=[tool(arguments_schema=schema)])

        assert judge(build(known=known), arguments={"order": "a" * 100_000 + "!"}).reason is Reason.ARGUMENTS_SCHEMA

    def test_names_nobody_registered_are_not_remembered(self) -> None:
        judged = build()

        for n in range(100):
            judge(judged, subject_id=f"nobody-{n}")

        assert not judged.lanes.recent

    def test_names_callers_invent_are_remembered_within_bounds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("countersign.policy.lanes.KEPT", 50)
        judged = build(known=registry(agents=[agent(intents=("**",))]))

        for n in range(1000):
            judge(judged, intent=f"intent-{n}", arguments={"order": "A", "amount": f"{n}.00"})

        assert 0 < len(judged.lanes.recent) + len(judged.lanes.older) <= 102


class TestRules:
    def test_denies_when_no_rule_speaks(self) -> None:
        verdict = judge(build("version: 1\nrules: []\n"))

        assert (verdict.outcome, verdict.reason, verdict.registry_denied) == (Outcome.DENY, Reason.NO_RULE, False)

    def test_deny_wins_over_escalate_over_allow(self) -> None:
        allow, deny = "{id: yes, effect: allow}", "{id: no, effect: deny, reason: Not today.}"

        assert judge(build(rules(allow, ESCALATE, deny))).outcome is Outcome.DENY
        assert judge(build(rules(allow, ESCALATE))).outcome is Outcome.ESCALATE
        assert judge(build(rules(allow))).outcome is Outcome.ALLOW

    def test_all_rules_that_decided_are_named(self) -> None:
        text = rules("{id: b, effect: deny, when: 'true'}", "{id: a, effect: deny, reason: Not today.}", ESCALATE)

        verdict = judge(build(text))

        assert verdict.rule == "a"
        assert [(one.rule, one.message) for one in verdict.reasons] == [
            ("a", "Not today."),
            ("b", "Rule b denies this."),
        ]

    @pytest.mark.parametrize(
        ("match", "fits"),
        [
            ("{agents: [support-bot]}", True),
            ("{agents: [support-*]}", True),
            ("{agents: [support]}", False),
            ("{subjects: ['agent:support-*']}", True),
            ("{subjects: ['user:*']}", False),
            ("{tools: ['payments.*']}", True),
            ("{tools: ['*']}", False),
            ("{tools: ['**']}", True),
            ("{resources: ['tool:*']}", False),
            ("{resources: ['tool:**']}", True),
            ("{methods: [get]}", False),
            ("{actions: [create]}", True),
            ("{intents: ['customer-*']}", True),
            ("{agents: [support-bot], methods: [get]}", False),
        ],
    )
    def test_a_match_fits_or_not(self, match: str, fits: bool) -> None:
        verdict = judge(build(rules(f"{{id: a, match: {match}, effect: allow}}")))

        assert verdict.outcome is (Outcome.ALLOW if fits else Outcome.DENY)

    @pytest.mark.parametrize(("effect", "outcome"), [("allow", "deny"), ("deny", "deny"), ("escalate", "escalate")])
    def test_a_condition_that_fails_closes(self, effect: str, outcome: str) -> None:
        text = rules(f"{{id: a, effect: {effect}, when: 'arguments.missing > 1'}}")
        if effect != "allow":
            text += "  - {id: b, effect: allow}\n"

        assert judge(build(text)).outcome == outcome

    @pytest.mark.parametrize(
        "condition",
        [
            "agent.id == 'support-bot' && agent.owner == 'dana' && 'crm' in agent.tool_groups",
            "tool.risk_tier == 3 && tool.group == 'payments' && 'create' in tool.methods",
            "method == 'create' && intent == 'customer-refund'",
            "arguments.amount == '250.00'",
            "principal == {} && session == '' && transaction == '' && environment == {} && context == {}",
            "risk.score == 62 && risk.factors.amount == 17 && risk.factors.risk_tier == 45",
            "now == timestamp('2026-11-20T10:00:00Z')",
            "subject.type == 'agent' && subject.registered.team == 'support' && subject.properties == {}",
            "action.name == 'create' && action.properties == {}",
            "resource.id == 'payments.refund' && resource.registered.risk_tier == 3",
        ],
    )
    def test_conditions_see_the_whole_call(self, condition: str) -> None:
        assert judge(build(rules(f'{{id: a, effect: allow, when: "{condition}"}}'))).outcome is Outcome.ALLOW

    def test_what_the_caller_says_and_what_is_registered_never_mix(self) -> None:
        known = registry(entities=[record("r1", status="closed")])
        text = rules(
            "{id: a, match: {resources: ['record:*']}, effect: allow, when: 'resource.registered.status == \"active\"'}"
        )

        for name in ("r1", "unknown"):
            verdict = judge(
                build(text, known),
                subject_type="user", subject_id="dana", resource_type="record", resource_id=name,
                resource_properties={"status": "active", "registered": {"status": "active"}},
            )  # fmt: skip
            assert verdict.outcome is Outcome.DENY

    def test_entities_are_judged_by_rules_alone(self) -> None:
        known = registry(entities=[record("r1", status="active")])
        text = rules(
            "{id: a, match: {subjects: ['user:*'], resources: ['record:r*'], actions: [read]}, effect: allow,"
            " when: 'resource.registered.status == \"active\" && risk == {} && agent == {}'}"
        )

        verdict = judge(
            build(text, known), subject_type="user", subject_id="dana@acme.test", action_name="read",
            resource_type="record", resource_id="r1", intent=None,
        )  # fmt: skip

        assert verdict.outcome is Outcome.ALLOW
        assert verdict.risk is None

    def test_obligations_come_from_the_rules_that_made_the_outcome(self) -> None:
        text = rules(
            "{id: a, effect: allow, obligations: [{type: log}, {type: redact}]}",
            "{id: b, effect: allow, when: 'true', obligations: [{type: log}, {type: custom, properties: {count: 1}}]}",
            "{id: c, effect: escalate, when: 'arguments.order == \"big\"', obligations: [{type: notification, properties: {to: '#x'}}]}",
            "{id: d, effect: deny, when: 'arguments.order == \"bad\"', obligations: [{type: step-up, properties: {acr_value: a}}]}",
        )
        judged = build(text)

        def types(order: str) -> list[str]:
            return [one["type"] for one in judge(judged, arguments={"order": order, "amount": "1.00"}).obligations]

        assert types("small") == ["log", "redact", "custom"]
        assert types("big") == ["notification", "log", "redact", "custom"]
        assert types("bad") == ["step-up"]


class TestObserve:
    def test_a_rule_that_observes_is_noted_and_changes_nothing(self) -> None:
        text = rules("{id: a, effect: allow}", "{id: b, effect: deny, mode: observe}")

        verdict = judge(build(text))

        assert verdict.outcome is Outcome.ALLOW
        assert verdict.reasons[-1].rule == "b"
        assert verdict.reasons[-1].message == "Only observed: this rule would deny the call."

    def test_an_allow_that_observes_allows_nothing(self) -> None:
        assert judge(build(rules("{id: a, effect: allow, mode: observe}"))).reason is Reason.NO_RULE

    def test_a_policy_that_observes_tells_what_it_would_say(self) -> None:
        verdict = judge(build(rules("{id: a, effect: deny}", head="mode: observe")))

        assert (verdict.outcome, verdict.mode, verdict.registry_denied) == (Outcome.DENY, Mode.OBSERVE, False)


class TestHeldUp:
    @pytest.mark.parametrize(
        ("text", "changes", "held_up"),
        [
            (rules(ESCALATE), {}, True),
            (rules("{id: no, effect: deny}"), {}, True),
            (ALLOW_ALL, {}, False),
            (rules(ESCALATE, head="mode: observe"), {}, False),
            ("version: 1\nrules: []\n", {}, False),
            (rules(ESCALATE), {"subject_id": "nobody"}, False),
        ],
    )
    def test_is_a_call_that_a_rule_stops_for_real(self, text: str, changes: dict[str, Any], held_up: bool) -> None:
        assert judge(build(text), **changes).held_up is held_up


class TestRequirements:
    def test_an_escalation_that_nobody_could_answer_is_a_denial(self) -> None:
        verdict = judge(build(rules(ESCALATE), registry(tools=[tool(approval=None)])))

        assert (verdict.outcome, verdict.reason, verdict.rule) == (Outcome.DENY, Reason.RULE, "ask")
        assert verdict.requirements == ()

    def test_the_stricter_of_each_part_wins_for_the_same_teams(self) -> None:
        block = "{teams: [finance], quorum: 1, step_up: totp, expires_in: 1h, approved_for: 5m, uses: 3}"

        weaker = tool(approval=parse_approval({"teams": ["finance"], "quorum": 2}, tier=Tier.LOW, source="tool"))
        known = registry(tools=[weaker])

        (merged,) = judge(build(rules(f"{{id: ask, effect: escalate, approval: {block}}}"), known)).requirements

        assert merged.quorum == 2
        assert merged.step_up is StepUp.TOTP
        assert merged.expires_in == timedelta(minutes=15)
        assert merged.approved_for == timedelta(minutes=5)
        assert merged.uses == 1
        assert merged.source == "rule:ask,tool"

    def test_other_teams_are_asked_beside_each_other(self) -> None:
        text = rules(
            "{id: a, effect: escalate, approval: {teams: [legal]}}",
            "{id: b, effect: escalate, approval: {teams: [legal, ciso]}}",
        )

        assert [one.source for one in judge(build(text)).requirements] == ["rule:a", "rule:b", "tool"]

    @pytest.mark.parametrize(("tier", "step_up"), [(1, "none"), (2, "none"), (3, "totp"), (4, "totp")])
    def test_a_block_without_step_up_takes_the_default_of_the_tools_tier(self, tier: int, step_up: str) -> None:
        text = rules("{id: a, effect: escalate, approval: {teams: [legal]}}")

        (requirement,) = judge(build(text, registry(tools=[tool(approval=None, risk_tier=Tier(tier))]))).requirements

        assert requirement.step_up == step_up

    def test_a_tool_that_always_escalates_needs_no_rule(self) -> None:
        known = registry(tools=[tool(always_escalates=True)])

        verdict = judge(build("version: 1\nrules: []\n", known))

        assert (verdict.outcome, verdict.reason, verdict.rule) == (Outcome.ESCALATE, Reason.APPROVAL_REQUIRED, "tool")
        assert judge(build(rules("{id: no, effect: deny}"), known)).outcome is Outcome.DENY

    def test_an_approval_block_alone_triggers_nothing(self) -> None:
        assert judge(build()).outcome is Outcome.ALLOW


class TestRisk:
    @pytest.mark.parametrize(
        ("amount", "points"),
        [("0.00", 0), ("5.00", 1), ("50.00", 6), ("250.00", 17), ("1000.00", 20), ("99999.00", 20)],
    )
    def test_the_score_is_explained(self, amount: str, points: int) -> None:
        risk = judge(build(), arguments={"order": "A", "amount": amount}).risk

        assert risk is not None
        assert risk.score == 45 + points
        assert {one.name: one.points for one in risk.factors} == {"risk_tier": 45} | (
            {"amount": points} if points else {}
        )

    @pytest.mark.parametrize(
        "amount", [True, None, "x", "-5", "NaN", "1e999", float("inf"), [], "٣", "1_000", " 1", "9" * 50]
    )
    def test_what_is_no_amount_counts_most(self, amount: Any) -> None:
        risk = judge(build(known=registry(tools=[tool(arguments_schema=None)])), arguments={"amount": amount}).risk

        assert risk is not None
        assert risk.factors[-1].points == 20

    @pytest.mark.parametrize(("amount", "points"), [(250, 17), (250.0, 17), ("250", 17), ("2.5e2", 17), (0.1, 0)])
    def test_amounts_count_however_json_writes_them(self, amount: Any, points: int) -> None:
        risk = judge(build(known=registry(tools=[tool(arguments_schema=None)])), arguments={"amount": amount}).risk

        assert risk is not None
        assert risk.score == 45 + points

    def test_data_classes_lift_a_tier_that_is_too_low(self) -> None:
        low = judge(
            build(known=registry(tools=[tool(risk_tier=Tier.LOW, data_classes=("pci",), caps=tool().caps)]))
        ).risk
        high = judge(build(known=registry(tools=[tool(data_classes=("pci",))]))).risk

        assert low is not None
        assert high is not None
        assert {one.name: one.points for one in low.factors} == {"risk_tier": 10, "data_class": 35, "amount": 17}
        assert high.score == 62

    def test_an_unproven_principal_counts_on_critical_tools(self) -> None:
        judged = build(known=registry(tools=[tool(risk_tier=Tier.CRITICAL)]))

        scores = [
            judge(judged, principal=principal).risk
            for principal in (None, Principal("user", "d"), Principal("user", "d", verified=True))
        ]

        assert [risk and risk.score for risk in scores] == [82, 92, 82]

    @pytest.mark.parametrize(
        ("limits", "outcome", "reason"),
        [
            ((0, 62), Outcome.DENY, Reason.RISK_BLOCK),
            ((62, 63), Outcome.ESCALATE, Reason.RISK_REVIEW),
            ((63, 63), Outcome.ALLOW, Reason.RULE),
        ],
    )
    def test_thresholds_gate_an_allow(self, limits: tuple[int, int], outcome: Outcome, reason: Reason) -> None:
        text = f"{ALLOW_ALL}risk: {{auto_allow_below: {limits[0]}, auto_block_from: {limits[1]}}}\n"

        verdict = judge(build(text))

        assert (verdict.outcome, verdict.reason) == (outcome, reason)
        assert verdict.requirements == ((APPROVAL,) if outcome is Outcome.ESCALATE else ())

    def test_an_escalation_is_blocked_too(self) -> None:
        text = rules(ESCALATE, head="risk: {auto_allow_below: 0, auto_block_from: 62}")

        assert judge(build(text)).reason is Reason.RISK_BLOCK

    def test_a_review_that_nobody_could_make_is_a_denial(self) -> None:
        text = f"{ALLOW_ALL}risk: {{auto_allow_below: 10, auto_block_from: 90}}\n"

        verdict = judge(build(text, registry(tools=[tool(approval=None)])))

        assert (verdict.outcome, verdict.reason) == (Outcome.DENY, Reason.RISK_REVIEW)


class TestTheContractsExample:
    def test_a_refund_of_250_waits_for_two_of_finance(self) -> None:
        text = rules(
            '{id: refunds-over-100, match: {agents: ["support-*"], tools: ["payments.refund"], methods: [create],'
            ' intents: ["*"]}, when: "double(arguments.amount) >= 100.0", effect: escalate,'
            " approval: {teams: [finance], quorum: 2, step_up: totp}, reason: Refunds of 100 or more need finance.}",
            head="risk: {auto_allow_below: 50, auto_block_from: 80}",
        )
        approval = parse_approval({"teams": ["finance"], "quorum": 2, "step_up": "totp"}, tier=Tier.HIGH, source="tool")

        verdict = judge(build(text, registry(tools=[tool(approval=approval, data_classes=("pci",))])))

        assert (verdict.outcome, verdict.reason) == (Outcome.ESCALATE, Reason.APPROVAL_REQUIRED)
        assert verdict.rule == "refunds-over-100"
        assert verdict.risk is not None
        assert verdict.risk.score == 62
        assert [one.quorum for one in verdict.requirements] == [2]
