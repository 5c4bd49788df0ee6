"""The tree from stored rows equals the tree from its leaves, at every size."""

import random
from hashlib import sha256

import pytest

from countersign.proof import merkle
from countersign.proof.merkle import Frontier
from evidence import tree
from evidence.models import Node, Sealed
from tests.evidence.shared import a_log

SIZES = [0, 1, 255, 256, 257, 700, 65_535, 65_536, 65_537, 66_000]


def leaves_of(size: int) -> list[bytes]:
    return [sha256(str(i).encode()).digest() for i in range(size)]


@pytest.fixture(scope="module")
def log(database: None) -> str:
    """A log of 66,000 leaves: three levels of stored nodes."""
    name, edge, nodes, leaves = a_log(), Frontier(), [], leaves_of(66_000)
    for leaf in leaves:
        for level, index, value in edge.append(leaf)[tree.BITS :: tree.BITS]:
            nodes.append(Node(log=name, level=level // tree.BITS, index=index, hash=value))
    base = random.randrange(1 << 40, 1 << 50)
    Sealed.objects.bulk_create(
        [Sealed(record_id=base + i, log=name, seq=i, leaf=leaf, signature=b"") for i, leaf in enumerate(leaves)],
        batch_size=5_000,
    )
    Node.objects.bulk_create(nodes)
    return name


class TestFrontier:
    def test_names_the_leaf_that_is_missing(self, log: str) -> None:
        with pytest.raises(tree.MissingNode, match="level 0 ends at node 66000"):
            tree.frontier(log, 66_001)

    @pytest.mark.parametrize("size", SIZES)
    def test_is_that_of_the_leaves(self, log: str, size: int) -> None:
        edge = Frontier()
        for leaf in leaves_of(size):
            edge.append(leaf)
        assert tree.frontier(log, size).to_bytes() == edge.to_bytes()


class TestStoredNodes:
    def test_names_the_node_that_is_missing(self, log: str) -> None:
        with pytest.raises(tree.MissingNode, match="node 66000 of level 0"):
            tree.StoredNodes(log)(0, 66_000)

    @pytest.mark.parametrize("size", SIZES[1:])
    def test_proves_inclusion(self, log: str, size: int) -> None:
        node, leaves = tree.StoredNodes(log), leaves_of(size)
        root = merkle.root(leaves)
        for index in {0, size // 2, size - 1, max(0, size - 257)}:
            path = merkle.inclusion_proof(index, size, node)
            merkle.verify_inclusion(index=index, size=size, leaf=leaves[index], path=path, root=root)

    @pytest.mark.parametrize(("old", "new"), [(1, 66_000), (255, 257), (256, 65_536), (65_537, 66_000), (700, 66_000)])
    def test_proves_consistency(self, log: str, old: int, new: int) -> None:
        leaves = leaves_of(new)
        path = merkle.consistency_proof(old, new, tree.StoredNodes(log))
        merkle.verify_consistency(
            old=old, old_root=merkle.root(leaves[:old]), new=new, new_root=merkle.root(leaves), path=path
        )
