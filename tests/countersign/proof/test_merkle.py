"""The tree of RFC 6962: its published vectors, its naive definition, and proofs that are bent in every way."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.proof import merkle
from countersign.proof.merkle import BadProof, Frontier

# The eight leaves and the roots that Certificate Transparency implementations share.
LEAVES = [
    bytes.fromhex(h)
    for h in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]
NODE = merkle.nodes_of(HASHES)


def naive_root(leaves):
    """RFC 6962 2.1 word for word."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else sha256(b"").digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m, leaves):
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(m, leaves, whole):
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m <= k:
        return [*naive_subproof(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_subproof(m - k, leaves[k:], False), naive_root(leaves[:k])]


def hashes(count):
    return [sha256(b"%d" % number).digest() for number in range(count)]


class TestVectors:
    @pytest.mark.parametrize("size", range(9))
    def test_the_root_is_the_published_one(self, size):
        assert merkle.root(HASHES[:size]).hex() == ROOTS[size]

    def test_the_inclusion_path_is_the_published_one(self):
        assert [node.hex() for node in merkle.inclusion_proof(0, 8, NODE)] == [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ]

    def test_the_consistency_path_is_the_published_one(self):
        assert [node.hex() for node in merkle.consistency_proof(6, 8, NODE)] == [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]


class TestVerifyInclusion:
    def verify(self, **changes):
        given = {
            "index": 5,
            "size": 8,
            "leaf": HASHES[5],
            "path": merkle.inclusion_proof(5, 8, NODE),
            "root": bytes.fromhex(ROOTS[8]),
        }
        merkle.verify_inclusion(**{**given, **changes})

    @pytest.mark.parametrize("index", [0, 4, 6])
    def test_refuses_another_place(self, index):
        with pytest.raises(BadProof, match="another root"):
            self.verify(index=index)

    @pytest.mark.parametrize("index", [-1, 8, 2**63])
    def test_refuses_a_place_outside_of_the_tree(self, index):
        with pytest.raises(BadProof, match="outside"):
            self.verify(index=index)

    def test_refuses_a_path_longer_than_the_tree_is_high(self):
        with pytest.raises(BadProof, match="too long"):
            self.verify(path=[*merkle.inclusion_proof(5, 8, NODE), HASHES[0]])

    @pytest.mark.parametrize("size", [0, 5, 3, 16, 32])
    def test_refuses_another_size(self, size):
        with pytest.raises(BadProof):
            self.verify(size=size)

    def test_refuses_another_leaf_or_root(self):
        with pytest.raises(BadProof):
            self.verify(leaf=HASHES[4])
        with pytest.raises(BadProof):
            self.verify(root=bytes.fromhex(ROOTS[7]))

    def test_refuses_a_path_that_is_shorter_longer_or_shuffled(self):
        path = merkle.inclusion_proof(5, 8, NODE)
        for bent in (path[:-1], path[1:], [*path, path[0]], path[::-1], []):
            with pytest.raises(BadProof):
                self.verify(path=bent)

    def test_refuses_nodes_whose_bytes_slide_over_their_border(self):
        """left ‖ right hashes alike wherever the border is; only the length of a hash holds it."""
        leaf, sibling = HASHES[0], HASHES[1]
        root = merkle.node_hash(leaf, sibling)
        with pytest.raises(BadProof, match="32 bytes"):
            merkle.verify_inclusion(index=0, size=2, leaf=leaf + sibling[:1], path=[sibling[1:]], root=root)
        with pytest.raises(BadProof, match="32 bytes"):
            merkle.verify_consistency(old=1, old_root=leaf + sibling[:1], new=2, new_root=root, path=[sibling[1:]])

    def test_takes_the_only_leaf_without_a_path(self):
        merkle.verify_inclusion(index=0, size=1, leaf=HASHES[0], path=[], root=HASHES[0])


class TestVerifyConsistency:
    def verify(self, **changes):
        given = {
            "old": 6, "old_root": bytes.fromhex(ROOTS[6]), "new": 8, "new_root": bytes.fromhex(ROOTS[8]), "path": merkle.consistency_proof(6, 8, NODE),
        }  # fmt: skip
        merkle.verify_consistency(**{**given, **changes})

    @pytest.mark.parametrize("sizes", [(5, 8), (7, 8), (6, 16), (9, 8), (-1, 8), (8, 8), (0, 8), (2, 8), (4, 8)])
    def test_refuses_other_sizes(self, sizes):
        with pytest.raises(BadProof):
            self.verify(old=sizes[0], new=sizes[1])

    def test_refuses_other_roots(self):
        with pytest.raises(BadProof):
            self.verify(old_root=bytes.fromhex(ROOTS[5]))
        with pytest.raises(BadProof):
            self.verify(new_root=bytes.fromhex(ROOTS[7]))

    def test_refuses_a_path_that_is_shorter_longer_or_shuffled(self):
        path = merkle.consistency_proof(6, 8, NODE)
        for bent in (path[:-1], path[1:], [*path, path[0]], path[::-1], []):
            with pytest.raises(BadProof):
                self.verify(path=bent)

    def test_refuses_a_path_longer_than_the_tree_is_high(self):
        for old in (6, 8, 0):
            with pytest.raises(BadProof, match="too long"):
                self.verify(old=old, path=[*merkle.consistency_proof(6, 8, NODE), HASHES[0]])

    def test_refuses_an_old_tree_that_is_larger(self):
        with pytest.raises(BadProof, match="larger"):
            self.verify(old=9)

    def test_refuses_two_trees_of_one_size(self):
        with pytest.raises(BadProof, match="same size"):
            self.verify(old=8, path=[])

    def test_refuses_an_empty_tree_with_a_root(self):
        with pytest.raises(BadProof, match="empty"):
            self.verify(old=0, path=[])

    def test_takes_the_same_tree_and_the_empty_one(self):
        self.verify(old=8, old_root=bytes.fromhex(ROOTS[8]), path=[])
        self.verify(old=0, old_root=bytes.fromhex(ROOTS[0]), path=[])


class TestAgainstTheDefinition:
    @given(st.integers(1, 90).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1), st.integers(1, n))))
    @settings(max_examples=150, deadline=None)
    def test_roots_and_proofs_are_those_of_the_naive_definition(self, drawn):
        size, index, old = drawn
        leaves = hashes(size)
        node = merkle.nodes_of(leaves)
        root = naive_root(leaves)
        path = merkle.inclusion_proof(index, size, node)
        consistency = merkle.consistency_proof(old, size, node)
        assert merkle.root(leaves) == root
        assert path == naive_path(index, leaves)
        assert consistency == naive_subproof(old, leaves, True)
        merkle.verify_inclusion(index=index, size=size, leaf=leaves[index], path=path, root=root)
        merkle.verify_consistency(old=old, old_root=naive_root(leaves[:old]), new=size, new_root=root, path=consistency)

    @given(st.integers(2, 40), st.data())
    @settings(max_examples=150, deadline=None)
    def test_no_flipped_bit_of_a_proof_is_taken(self, size, data):
        leaves = hashes(size)
        index = data.draw(st.integers(0, size - 1))
        path = merkle.inclusion_proof(index, size, merkle.nodes_of(leaves))
        at, bit = data.draw(st.integers(0, len(path) - 1)), data.draw(st.integers(0, 255))
        path[at] = (int.from_bytes(path[at]) ^ 1 << bit).to_bytes(32)
        with pytest.raises(BadProof):
            merkle.verify_inclusion(index=index, size=size, leaf=leaves[index], path=path, root=naive_root(leaves))

    def test_proofs_ask_for_complete_subtrees_only(self):
        size, leaves = 1_000, hashes(1_000)
        asked = []
        whole = merkle.nodes_of(leaves)

        def node(level, index):
            asked.append((level, index))
            assert (index + 1) << level <= size
            return whole(level, index)

        merkle.inclusion_proof(777, size, node)
        merkle.consistency_proof(513, size, node)
        assert len(asked) < 60

    @pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
    def test_no_proof_of_a_leaf_outside_of_the_tree(self, index, size):
        with pytest.raises(ValueError, match="not in the tree"):
            merkle.inclusion_proof(index, size, NODE)

    def test_no_proof_from_a_larger_tree(self):
        with pytest.raises(ValueError, match="larger"):
            merkle.consistency_proof(9, 8, NODE)


class TestFrontier:
    @pytest.mark.parametrize(
        "data", [b"", b"\0" * 7, b"\0" * 8 + b"x" * 32, (3).to_bytes(8) + b"x" * 32, (3).to_bytes(8) + b"x" * 65]
    )
    def test_refuses_bytes_that_do_not_fit_their_size(self, data):
        with pytest.raises(ValueError, match="not a frontier"):
            Frontier.from_bytes(data)

    def test_refuses_what_is_no_hash(self):
        with pytest.raises(ValueError, match="32 bytes"):
            Frontier().append(b"x")

    @pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 100])
    def test_goes_on_where_its_bytes_were_written(self, size):
        leaves = hashes(size + 5)
        frontier = Frontier()
        for leaf in leaves[:size]:
            frontier.append(leaf)
        again = Frontier.from_bytes(frontier.to_bytes())
        for leaf in leaves[size:]:
            again.append(leaf)
        assert (again.size, again.root()) == (size + 5, naive_root(leaves))

    def test_hands_out_every_complete_subtree_once(self):
        leaves, stored = hashes(37), {}
        frontier = Frontier()
        for leaf in leaves:
            for level, index, node in frontier.append(leaf):
                assert (level, index) not in stored
                stored[level, index] = node
        for index in range(37):
            path = merkle.inclusion_proof(index, 37, lambda level, at: stored[level, at])
            merkle.verify_inclusion(index=index, size=37, leaf=leaves[index], path=path, root=frontier.root())
