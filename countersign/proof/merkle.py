"""RFC 6962 trees over leaf hashes: roots, proofs, and a frontier that grows without its leaves."""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Self

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

Node = Callable[[int, int], bytes]
"""`node(level, index)` is the root of the complete subtree over leaves [index · 2^level, (index + 1) · 2^level)."""


class BadProof(ValueError):
    """A proof that does not prove what it is held against."""


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ data)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """The tree head over leaf hashes (not leaf data), in order."""
    frontier = Frontier()
    for leaf in leaf_hashes:
        frontier.append(leaf)
    return frontier.root()


class Frontier:
    """The roots of the complete subtrees on the right edge: all that is needed to append and to know the root."""

    __slots__ = ("peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        self.peaks: list[bytes] = []  # from the left, largest subtree first

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add one leaf hash. Returns the `(level, index, hash)` of each subtree this completes, the leaf first."""
        if len(leaf) != HASH_BYTES:
            raise ValueError("a leaf hash has 32 bytes")
        level, index, node = 0, self.size, leaf
        completed = [(level, index, node)]
        while index & 1:
            node = node_hash(self.peaks.pop(), node)
            level, index = level + 1, index >> 1
            completed.append((level, index, node))
        self.peaks.append(node)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """The tree head at the present size."""
        if not self.peaks:
            return EMPTY_ROOT
        head = self.peaks[-1]
        for peak in self.peaks[-2::-1]:
            head = node_hash(peak, head)
        return head

    def to_bytes(self) -> bytes:
        """Size in 8 bytes, big endian, then the peaks."""
        return self.size.to_bytes(8, "big") + b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` wrote. Raises ValueError if the number of peaks is not that of the size."""
        size, rest = int.from_bytes(data[:8], "big"), data[8:]
        if len(data) < 8 or len(rest) != size.bit_count() * HASH_BYTES:  # noqa: PLR2004 - the size field
            raise ValueError("not a frontier")
        frontier = cls()
        frontier.size = size
        frontier.peaks = [rest[at : at + HASH_BYTES] for at in range(0, len(rest), HASH_BYTES)]
        return frontier


def nodes_of(leaf_hashes: Sequence[bytes]) -> Node:
    """The `node` callback over leaves held in memory."""
    levels = [list(leaf_hashes)]
    while len(below := levels[-1]) > 1:
        levels.append([node_hash(*below[at : at + 2]) for at in range(0, len(below) - 1, 2)])
    return lambda level, index: levels[level][index]


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """RFC 6962 2.1.1 PATH: from the leaf's sibling up to the root's child."""
    if not 0 <= index < size:
        raise ValueError("the leaf is not in the tree")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_range_root(middle, high, node))
            high = middle
        else:
            path.append(_range_root(low, middle, node))
            low = middle
    return path[::-1]


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """RFC 6962 2.1.2 PROOF: that the first `old` of `new` leaves are the old tree."""
    if not 0 <= old <= new:
        raise ValueError("the old tree is larger than the new one")
    if old in (0, new):
        return []
    path: list[bytes] = []
    low, high, whole = 0, new, True
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            path.append(_range_root(middle, high, node))
            high = middle
        else:
            path.append(_range_root(low, middle, node))
            low, whole = middle, False
    if not whole:
        path.append(_range_root(low, high, node))
    return path[::-1]


def verify_inclusion(*, index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> None:
    """RFC 9162 2.1.3.2. Return if `leaf` stands at `index` of the tree of `size` with `root`, else raise BadProof."""
    if not 0 <= index < size:
        raise BadProof("the leaf's place lies outside of the tree")
    _check_hashes(leaf, *path)
    at, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise BadProof("the inclusion proof is too long")
        if at & 1 or at == last:
            node = node_hash(sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise BadProof("the inclusion proof is too short")
    if node != root:
        raise BadProof("the inclusion proof leads to another root")


def verify_consistency(*, old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> None:
    """RFC 9162 2.1.4.2. Return if the tree of `new` leaves begins with the tree of `old` ones, else raise BadProof."""
    if not 0 <= old <= new:
        raise BadProof("the old tree is larger than the new one")
    _check_hashes(old_root, new_root, *path)
    if old in (0, new):
        _verify_trivial(old, old_root, new, new_root, path)
        return
    nodes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not nodes:
        raise BadProof("the consistency proof is too short")
    first, second = _climb(nodes, old - 1, new - 1)
    if first != old_root or second != new_root:
        raise BadProof("the new tree does not begin with the old one")


def _climb(nodes: Sequence[bytes], at: int, last: int) -> tuple[bytes, bytes]:
    """The old and the new root that a consistency proof leads to. `at` and `last` are the trees' last leaves."""
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            raise BadProof("the consistency proof is too long")
        if at & 1 or at == last:
            first, second = node_hash(node, first), node_hash(node, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, node)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise BadProof("the consistency proof is too short")
    return first, second


def _verify_trivial(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> None:
    if path:
        raise BadProof("the consistency proof is too long")
    if old == new and old_root != new_root:
        raise BadProof("two different trees claim the same size")
    if old == 0 and old_root != EMPTY_ROOT:
        raise BadProof("the empty tree has another root")


def _check_hashes(*hashes: bytes) -> None:
    """Bytes of another length could slide over the border between left and right."""
    if any(len(value) != HASH_BYTES for value in hashes):
        raise BadProof("a proof is made of hashes of 32 bytes")


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def _range_root(low: int, high: int, node: Node) -> bytes:
    """The head over leaves [low, high), where low is a multiple of the largest power of two in the range."""
    right: list[bytes] = []
    while (count := high - low) & (count - 1):
        middle = low + _split(count)
        right.append(_complete(low, middle, node))
        low = middle
    head = _complete(low, high, node)
    for left in reversed(right):
        head = node_hash(left, head)
    return head


def _complete(low: int, high: int, node: Node) -> bytes:
    level = (high - low).bit_length() - 1
    return node(level, low >> level)
