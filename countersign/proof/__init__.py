"""Proof: canonical bytes, Merkle trees, signed notes and envelopes, receipts and packs."""
