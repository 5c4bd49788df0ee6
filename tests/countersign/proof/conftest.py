"""A small log with a whole story in it, and the pack that its operator exports."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from countersign.proof import canonical, checkpoint, digests, dsse, merkle, pack_archive, pack_writer, statement
from countersign.proof.checkpoint import Checkpoint
from countersign.proof.events import Event
from countersign.proof.keys import Signer
from countersign.proof.pack_layout import DisclosedArguments, PackContents, PreviousCheckpoint, SealedRecord

POLICY = b"version: 1\nname: acme\n"


class Log:
    """What a sealer does, in memory: records in, envelopes, checkpoints and proofs out."""

    def __init__(self, *, name: str = "log.example/acme", tenant: str = "acme", seed: bytes = b"1" * 32) -> None:
        self.name, self.tenant = name, tenant
        self.signer = Signer(name=name, seed=seed)
        self.records: list[bytes] = []
        self.threads: dict[str, tuple[int, str]] = {}

    def add(self, event: Event, thread: str, *, commitment: str | None = None, **members: object) -> str:
        """Append a record. Returns its leaf in text form."""
        n, prev = self.threads.get(thread, (-1, None))
        place = {"id": thread, "n": n + 1} | ({} if prev is None else {"prev_leaf": prev})
        predicate = {
            "v": 1, "log": self.name, "event": event.value, "event_id": f"evt_{len(self.records)}", "tenant": self.tenant,
            "recorded_at": "2026-11-20T10:00:00.000Z", "thread": place, "actor": {"type": "pep", "id": "p"}, **members,
        }  # fmt: skip
        data = statement.build(event=event, commitment=commitment, predicate=predicate)
        leaf = statement.leaf(data)
        self.records.append(data)
        self.threads[thread] = (n + 1, leaf)
        return leaf

    def hashes(self) -> list[bytes]:
        return [merkle.leaf_hash(data) for data in self.records]

    def head(self, size: int | None = None) -> str:
        size = len(self.records) if size is None else size
        root = merkle.root(self.hashes()[:size])
        return checkpoint.sign(Checkpoint(self.name, size, root), signers=[self.signer])

    def sealed(self, seq: int) -> SealedRecord:
        path = merkle.inclusion_proof(seq, len(self.records), merkle.nodes_of(self.hashes()))
        return SealedRecord(seq, dsse.sign(self.records[seq], dsse.IN_TOTO, self.signer), tuple(path))

    def previous(self, size: int) -> PreviousCheckpoint:
        path = merkle.consistency_proof(size, len(self.records), merkle.nodes_of(self.hashes()))
        return PreviousCheckpoint(self.head(size), tuple(path))

    def pack(self, *seqs: int, **changes: object) -> PackContents:
        chosen = seqs or range(len(self.records))
        given = {
            "log": self.name, "tenant": self.tenant, "created_at": "2026-11-20T11:00:00Z", "checkpoint": self.head(), "keys": (self.signer.verifier,), "signer": self.signer,
            "records": tuple(map(self.sealed, chosen)), "scope": {"request": "arq_1"},
        }  # fmt: skip
        return PackContents(**{**given, **changes})


def disclosed(*, tenant: str = "acme", amount: str = "250.00") -> DisclosedArguments:
    arguments = {"order": "A-1001", "amount": amount}
    action = {"tenant": tenant, "tool": "payments.refund", "arguments_digest": digests.arguments_digest(arguments)}
    salt = b"s" * 32
    return DisclosedArguments(digests.commitment(salt, digests.action_digest(action)), action, arguments, salt)


def story(log: Log) -> Log:
    """A request with two votes and its approval, between two other records."""
    mine = {"commitment": disclosed().commitment, "request": "arq_1", "action": {"tool": "payments.refund"}}
    log.add(Event.REGISTRY_CHANGED, "registry", detail={"kind": "tool", "after": {"owner": "carol"}})
    log.add(
        Event.DECISION_MADE,
        "arq_1",
        decision={"outcome": "escalate", "policy": {"digest": digests.sha256(POLICY)}},
        **mine,
    )
    log.add(Event.REQUEST_OPENED, "arq_1", **mine)
    votes = [log.add(Event.VOTE_CAST, "arq_1", decision={"outcome": "approve"}, **mine) for _ in range(2)]
    log.add(
        Event.APPROVAL_ISSUED,
        "arq_1",
        entitlement={"approval": "apr_1"},
        detail={"votes": [{"leaf": leaf} for leaf in votes]},
        **mine,
    )
    log.add(Event.KEY_ROTATED, "keys", detail={"kind": "pdp"})
    return log


@pytest.fixture
def log() -> Log:
    return story(Log())


@pytest.fixture
def full(log: Log) -> PackContents:
    """Everything a pack can hold."""
    return log.pack(
        arguments=(disclosed(),),
        policies={digests.sha256(POLICY): POLICY},
        mapping={"request": {"arq_1": (1, 2, 3, 4, 5)}, "transaction": {"case-4711": (1,)}},
        previous=(log.previous(3), log.previous(6)),
        span=(0, 6),
    )


@pytest.fixture
def lay(tmp_path: Path) -> Callable[..., Path]:
    """Lay contents down, by default as a directory; `forge` bends the members, and mends the manifest as a forger would."""

    def _lay(
        contents: PackContents, *, forge: Callable[[dict[str, bytes]], object] | None = None, name: str = "pack"
    ) -> Path:
        members = pack_writer.members(contents)
        if forge is not None:
            forge(members)
            members.pop("MANIFEST.sha256", None)
            members["MANIFEST.sha256"] = pack_writer.manifest(members)
        path = tmp_path / name
        pack_archive.write(path, members)
        return path

    return _lay


@pytest.fixture
def another() -> Callable[..., Log]:
    """Other logs, as the test wants them."""
    return Log


@pytest.fixture
def disclose() -> Callable[..., DisclosedArguments]:
    return disclosed


@pytest.fixture
def bend() -> Callable[..., Callable[[dict[str, bytes]], None]]:
    """Change one canonical JSON member, keeping it canonical."""

    def _bend(name: str, change: Callable[[object], object]) -> Callable[[dict[str, bytes]], None]:
        def forge(members: dict[str, bytes]) -> None:
            value = canonical.loads(members[name])
            members[name] = canonical.dumps(change(value) or value)

        return forge

    return _bend


@pytest.fixture
def tell() -> Callable[[Log], Log]:
    return story


@pytest.fixture
def replace() -> Callable[..., PackContents]:
    return dataclasses.replace
