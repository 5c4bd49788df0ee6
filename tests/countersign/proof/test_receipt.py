"""A receipt holds for its answer and its key alone, whatever the size of its batch."""

import copy

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.proof import base64text, digests, keys, merkle, receipt
from countersign.proof.keys import Signer
from countersign.proof.receipt import Entry

PDP = Signer(name="pdp.example/1", seed=b"p" * 32)
STRANGER = Signer(name="pdp.example/1", seed=b"q" * 32)
ANSWERS = [{"decision": n % 2 == 0, "context": {"evaluation_id": f"eva_{n}"}} for n in range(9)]
BY = "2026-11-20T10:00:10.000Z"


def entries(count=9, log="log.example/acme"):
    return [Entry(log, merkle.leaf_hash(b"%d" % n), receipt.answer_digest(ANSWERS[n % 9])) for n in range(count)]


def promise(batch=None):
    return receipt.promise(entries() if batch is None else batch, promised_by=BY, signer=PDP)


class TestVerify:
    def refuse(self, kind, change, *, verifiers=(PDP.verifier,)):
        bent = copy.deepcopy(promise()[4])
        change(bent)
        with pytest.raises(kind):
            receipt.verify(bent, answer=ANSWERS[4], verifiers=verifiers)

    @pytest.mark.parametrize(
        "name", ["log", "leaf", "answer_digest", "batch_root", "path", "promised_by", "key_id", "signature"]
    )
    def test_refuses_a_missing_member_or_one_of_another_type(self, name):
        self.refuse(receipt.MalformedReceipt, lambda r: r.pop(name))
        self.refuse(receipt.MalformedReceipt, lambda r: r.update({name: 1}))

    @pytest.mark.parametrize(
        "change",
        [
            lambda r: r.update(extra=1),
            lambda r: r.update(leaf="x"),
            lambda r: r.update(batch_root=r["batch_root"].upper()),
            lambda r: r["path"].append(1),
            lambda r: r["path"].append("up:" + "0" * 64),
            lambda r: r["path"].append("left:0"),
            lambda r: r["path"].extend(["left:" + "0" * 64] * 40),
            lambda r: r.update(signature=r["signature"][:-1]),
        ],
    )
    def test_refuses_a_malformed_one(self, change):
        self.refuse(receipt.MalformedReceipt, change)

    def test_refuses_what_is_no_object(self):
        with pytest.raises(receipt.MalformedReceipt):
            receipt.verify(None, answer=ANSWERS[4], verifiers=[PDP.verifier])

    def test_refuses_a_receipt_for_another_answer(self):
        with pytest.raises(receipt.OtherAnswer):
            receipt.verify(promise()[4], answer=ANSWERS[5], verifiers=[PDP.verifier])

    @pytest.mark.parametrize("name", ["log", "promised_by"])
    def test_refuses_a_changed_log_or_time(self, name):
        self.refuse(receipt.NotInBatch, lambda r: r.update({name: "x"}))

    def test_refuses_a_changed_leaf_path_or_root(self):
        other = digests.sha256(b"x")
        self.refuse(receipt.NotInBatch, lambda r: r.update(leaf=other))
        self.refuse(receipt.NotInBatch, lambda r: r.update(batch_root=other))
        self.refuse(receipt.NotInBatch, lambda r: r["path"].pop())
        self.refuse(receipt.NotInBatch, lambda r: r["path"].reverse())
        self.refuse(receipt.NotInBatch, lambda r: r["path"].__setitem__(0, r["path"][0].replace("right", "left")))

    def test_refuses_an_unknown_key(self):
        self.refuse(receipt.UnknownKey, lambda r: None, verifiers=[STRANGER.verifier])
        self.refuse(receipt.UnknownKey, lambda r: None, verifiers=[])

    def test_refuses_a_signature_over_another_batch_or_by_another_key(self):
        lone = promise(entries(1))[0]
        self.refuse(receipt.BadReceiptSignature, lambda r: r.update(signature=lone["signature"]))
        forged = base64text.encode(STRANGER.sign(b"countersign/receipt/v1\n" + digests.raw(promise()[4]["batch_root"])))
        self.refuse(receipt.BadReceiptSignature, lambda r: r.update(signature=forged))
        undomained = base64text.encode(PDP.sign(digests.raw(promise()[4]["batch_root"])))
        self.refuse(receipt.BadReceiptSignature, lambda r: r.update(signature=undomained))

    @pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 9, 32, 33])
    def test_takes_every_receipt_of_a_batch(self, count):
        for n, one in enumerate(promise(entries(count))):
            receipt.verify(one, answer=ANSWERS[n % 9], verifiers=[STRANGER.verifier, PDP.verifier])


class TestPromise:
    def test_of_nothing_is_nothing(self):
        assert promise([]) == []

    def test_refuses_what_is_no_leaf_or_digest(self):
        with pytest.raises(digests.NotADigest):
            promise([Entry("l", b"x", receipt.answer_digest({}))])
        with pytest.raises(digests.NotADigest):
            promise([Entry("l", b"x" * 32, 'sha256:"')])

    @given(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
            min_size=1,
            max_size=20,
        )
    )
    @settings(deadline=None)
    def test_the_batch_root_is_that_of_rfc_6962_over_canonical_leaves(self, logs):
        given_entries = [
            Entry(log, merkle.leaf_hash(log.encode()), receipt.answer_digest({"log": log})) for log in logs
        ]
        made = promise(given_entries)
        leaves = [
            merkle.leaf_hash(
                rfc8785.dumps(
                    {"log": e.log, "leaf": digests.text(e.leaf), "answer_digest": e.answer_digest, "promised_by": BY}
                )
            )
            for e in given_entries
        ]
        assert {one["batch_root"] for one in made} == {digests.text(merkle.root(leaves))}
        node = merkle.nodes_of(leaves)
        for index, one in enumerate(made):
            path = [bytes.fromhex(step.partition(":")[2]) for step in one["path"]]
            assert path == merkle.inclusion_proof(index, len(leaves), node)
            receipt.verify(one, answer={"log": logs[index]}, verifiers=[PDP.verifier])

    @pytest.mark.parametrize("log", ["log.example/acme", 'a"b\\c\n', "é😀"])
    @pytest.mark.parametrize("count", [1, 3, 32])
    def test_what_is_written_is_canonical(self, log, count):
        batch = entries(count, log)
        made = receipt.written(batch, promised_by=BY, signer=PDP)
        assert [rfc8785.dumps(one) for one in receipt.promise(batch, promised_by=BY, signer=PDP)] == made

    def test_signs_once_for_all(self):
        assert len({one["signature"] for one in promise()}) == 1


class TestWithoutReceipt:
    def test_undoes_the_putting_in_and_leaves_the_answer_alone(self):
        answer = ANSWERS[0]
        given = {**answer, "context": {**answer["context"], "receipt": promise()[0]}}
        assert receipt.without_receipt(given) == answer
        assert "receipt" in given["context"]
        receipt.verify(
            given["context"]["receipt"], answer=receipt.without_receipt(given), verifiers=keys.verifiers_of(PDP.vkey)
        )
