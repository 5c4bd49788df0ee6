"""Stored leaves and nodes in; frontier, root and proofs of a log's RFC 6962 tree out."""

from functools import lru_cache

from countersign.proof import merkle
from countersign.proof.merkle import Frontier
from evidence.models import Node, Sealed

BITS = 8
"""A stored node stands for 256 nodes of the level below it, so a proof reads hundreds of rows, not millions."""

_WIDTH = 1 << BITS
_TOP = 64 // BITS
_TILES_IN_MEMORY = 512


class MissingNode(LookupError):
    """The database lacks a leaf or node of a tree that is claimed to have it: rows were deleted or never written."""


def row(log: str, level: int, tile: int) -> list[bytes]:
    """The hashes of one tile: leaves at level 0, else nodes over 256^level leaves; fewer than 256 at the right edge."""
    low, high = tile * _WIDTH, (tile + 1) * _WIDTH
    leaves = Sealed.objects.filter(log=log, seq__gte=low, seq__lt=high).order_by("seq").values_list("seq", "leaf")
    nodes = Node.objects.filter(log=log, level=level, index__gte=low, index__lt=high).order_by("index")
    hashes: list[bytes] = []
    for index, value in leaves if level == 0 else nodes.values_list("index", "hash"):
        if index != low + len(hashes):
            raise MissingNode(f"log {log}: node {low + len(hashes)} of level {level} is missing")
        hashes.append(bytes(value))
    return hashes


def frontier(log: str, size: int) -> Frontier:
    """The right edge of the tree over the first `size` leaves. Raises MissingNode."""
    grown = Frontier()
    for level in reversed(range(_TOP)):
        tile, count = divmod(size >> BITS * level, _WIDTH)
        if count:
            grown.peaks += _peaks(log, level, tile, count)
    grown.size = size
    return grown


def _peaks(log: str, level: int, tile: int, count: int) -> list[bytes]:
    """The largest complete subtrees over the first `count` nodes of a tile; it begins at a multiple of their size."""
    hashes = row(log, level, tile)[:count]
    if len(hashes) < count:
        raise MissingNode(f"log {log}: level {level} ends at node {tile * _WIDTH + len(hashes)}")
    part = Frontier()
    for value in hashes:
        part.append(value)
    return part.peaks


class StoredNodes:
    """The `merkle.Node` callback over the database; keeps the tiles it read, so that many proofs share them."""

    def __init__(self, log: str) -> None:
        self._log = log
        self._tile = lru_cache(_TILES_IN_MEMORY)(self._load)

    def __call__(self, level: int, index: int) -> bytes:
        tile_level, inside = divmod(level, BITS)
        tile, at = divmod(index, _WIDTH >> inside)
        try:
            return self._tile(tile_level, tile)(inside, at)
        except IndexError as error:
            raise MissingNode(f"log {self._log}: node {index} of level {level} is missing") from error

    def _load(self, level: int, tile: int) -> merkle.Node:
        return merkle.nodes_of(row(self._log, level, tile))
