"""One record has one spelling, exactly the members of a record, and a subject that is its action or its detail."""

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.proof import canonical, digests, merkle, statement
from countersign.proof.events import Event
from countersign.proof.statement import BadStatement

COMMITMENT = digests.sha256(b"commitment")
PREDICATE = {
    "v": 1,
    "log": "log.example/acme",
    "event": "decision.made",
    "event_id": "eva_01",
    "tenant": "acme",
    "recorded_at": "2026-11-20T10:00:00.123Z",
    "thread": {"id": "eva_01", "n": 0},
    "actor": {"type": "pep", "id": "pep-1"},
    "action": {"agent": "support-bot", "tool": "payments.refund", "method": "create"},
    "decision": {"outcome": "escalate", "reasons": ["rule"], "policy": {"revision": 41}},
}
ADMINISTRATIVE = {
    **{name: member for name, member in PREDICATE.items() if name not in ("action", "decision")},
    "event": "registry.changed",
    "detail": {"kind": "tool", "before": {"owner": None}, "after": {"owner": "carol"}},
}
NEXT = {"id": "eva_01", "n": 1, "prev_leaf": COMMITMENT}


def build(predicate=PREDICATE, *, event=Event.DECISION_MADE, commitment=COMMITMENT):
    return statement.build(event=event, commitment=commitment, predicate=predicate)


def whole(predicate=PREDICATE, *, commitment=COMMITMENT, **changes):
    """The statement as a value, assembled the plain way."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": predicate["event_id"], "digest": {"sha256": commitment[7:]}}],
        "predicateType": f"urn:countersign:evidence:{predicate['event']}:v1",
        "predicate": predicate,
        **changes,
    }


def but(*drop, **changes):
    return {name: member for name, member in {**PREDICATE, **changes}.items() if name not in drop}


class TestBuild:
    @pytest.mark.parametrize("name", sorted(statement.REQUIRED))
    def test_refuses_a_predicate_without_a_member_every_record_has(self, name):
        with pytest.raises(BadStatement, match=name):
            build(but(name))

    @pytest.mark.parametrize("name", ["arguments", "Detail", "prev", ""])
    def test_refuses_a_member_no_record_has(self, name):
        with pytest.raises(BadStatement, match="no record has"):
            build({**PREDICATE, name: 1})

    @pytest.mark.parametrize("predicate", [but(waiver=None), but(thread={"id": "a", "n": 0, "prev_leaf": None})])
    def test_refuses_null_where_absent_is_meant(self, predicate):
        with pytest.raises(BadStatement, match="never null"):
            build(predicate)

    def test_refuses_another_event_than_the_predicate_speaks_of(self):
        with pytest.raises(BadStatement, match="another event"):
            build(event=Event.VOTE_CAST)

    def test_refuses_a_commitment_that_is_no_digest(self):
        with pytest.raises(digests.NotADigest):
            build(commitment='sha256:"},"name"')

    def test_refuses_a_record_about_nothing(self):
        with pytest.raises(BadStatement, match="detail"):
            build(commitment=None)

    def test_refuses_a_commitment_where_there_is_a_detail_and_no_action(self):
        with pytest.raises(BadStatement, match="about its detail"):
            build(ADMINISTRATIVE, event=Event.REGISTRY_CHANGED)

    @pytest.mark.parametrize("event", Event)
    def test_equals_rfc_8785_of_the_whole_for_every_event(self, event):
        predicate = but(event=event.value)
        assert build(predicate, event=event) == rfc8785.dumps(whole(predicate))

    @given(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
        st.integers(0, 2**53 - 1),
    )
    @settings(deadline=None)
    def test_equals_rfc_8785_of_the_whole_for_every_text(self, text, number):
        predicate = but(event_id=text, execution={text: [number, {text: text}, None, True]})
        assert build(predicate) == rfc8785.dumps(whole(predicate))

    def test_an_administrative_record_is_about_its_detail(self):
        data = build(ADMINISTRATIVE, event=Event.REGISTRY_CHANGED, commitment=None)
        detail = digests.sha256(rfc8785.dumps(ADMINISTRATIVE["detail"]))
        assert data == rfc8785.dumps(whole(ADMINISTRATIVE, commitment=detail))


class TestParse:
    @pytest.mark.parametrize(
        "value",
        [
            pytest.param(whole(_type="https://in-toto.io/Statement/v0.1"), id="other statement"),
            pytest.param(whole(extra=1), id="extra member"),
            pytest.param(whole(predicateType="urn:countersign:evidence:decision.made:v2"), id="later version"),
            pytest.param(whole(predicateType="urn:countersign:evidence:vote.cast:v1"), id="another event"),
            pytest.param(whole(predicateType="urn:countersign:evidence:unheard.of:v1"), id="unknown event"),
            pytest.param(whole(predicateType=1), id="no predicate type"),
            pytest.param({**whole(), "predicate": []}, id="no predicate"),
            pytest.param(whole(subject=[]), id="no subject"),
            pytest.param(whole(subject=whole()["subject"] * 2), id="two subjects"),
            pytest.param(
                whole(subject=[{"name": "x", "digest": {"sha256": COMMITMENT[7:]}}]), id="subject of another name"
            ),
            pytest.param(whole(subject=[{"name": "eva_01", "digest": {"sha256": "x"}}]), id="subject without a digest"),
            pytest.param(
                whole(subject=[{"name": "eva_01", "digest": {"sha256": COMMITMENT[7:], "sha1": "x"}}]), id="two digests"
            ),
            pytest.param(
                whole(subject=[{"name": "eva_01", "digest": {"sha256": COMMITMENT[7:]}, "uri": "x"}]),
                id="subject with more",
            ),
            pytest.param(whole(but("actor")), id="member missing"),
            pytest.param(whole({**PREDICATE, "arguments": {}}), id="member superfluous"),
            pytest.param(whole(but(budget=None)), id="null"),
            pytest.param(whole(but(v=2)), id="version"),
            pytest.param(whole(but(v=True)), id="version true"),
            pytest.param(whole(but(tenant="")), id="no tenant"),
            pytest.param(whole(but(recorded_at=1)), id="no time"),
            pytest.param(whole(but(actor="x")), id="actor no object"),
            pytest.param(whole(but(thread="x")), id="thread no object"),
            pytest.param(whole(but(thread={"id": "a", "n": 0, "x": 1})), id="thread with more"),
            pytest.param(whole(but(thread={"id": "", "n": 0})), id="thread without id"),
            pytest.param(whole(but(thread={"id": "a", "n": -1})), id="thread before its beginning"),
            pytest.param(whole(but(thread={"id": "a", "n": False})), id="thread without number"),
            pytest.param(whole(but(thread={"id": "a", "n": 1})), id="no prev_leaf"),
            pytest.param(whole(but(thread={"id": "a", "n": 0, "prev_leaf": COMMITMENT})), id="prev_leaf of the first"),
            pytest.param(whole(but(thread={"id": "a", "n": 1, "prev_leaf": "x"})), id="prev_leaf no digest"),
            pytest.param(whole(ADMINISTRATIVE), id="subject is not the detail"),
        ],
    )
    def test_refuses_what_is_no_record(self, value):
        with pytest.raises(BadStatement):
            statement.parse(rfc8785.dumps(value))

    @pytest.mark.parametrize(
        "bend",
        [
            lambda d: d + b"\n",
            lambda d: d.replace(b":", b": ", 1),
            lambda d: d.replace(b"acme", b"\\u0061cme", 1),
            lambda d: d[:-1],
            lambda d: b"[]",
        ],
    )
    def test_refuses_another_spelling(self, bend):
        with pytest.raises(BadStatement):
            statement.parse(bend(build()))

    def test_refuses_a_predicate_that_only_lists_the_names(self):
        with pytest.raises(BadStatement, match="not an object"):
            statement.parse(rfc8785.dumps({**whole(), "predicate": sorted(statement.REQUIRED)}))

    def test_refuses_an_event_it_never_heard_of(self):
        with pytest.raises(BadStatement, match="unknown predicateType"):
            statement.parse(rfc8785.dumps(whole(but(event="unheard.of"))))

    def test_reads_what_was_built(self):
        data = build(but(thread=NEXT))
        record = statement.parse(data)
        assert (record.event, record.event_id, record.tenant, record.log) == (
            Event.DECISION_MADE,
            "eva_01",
            "acme",
            "log.example/acme",
        )
        assert (record.thread.n, record.thread.prev_leaf, record.subject) == (1, COMMITMENT, COMMITMENT)
        assert record.leaf == statement.leaf(data) == digests.text(merkle.leaf_hash(data))
        assert record.predicate == canonical.loads(data)["predicate"]

    def test_reads_an_administrative_record_with_nulls_inside_its_detail(self):
        data = build(ADMINISTRATIVE, event=Event.REGISTRY_CHANGED, commitment=None)
        assert statement.parse(data).predicate["detail"]["before"] == {"owner": None}
