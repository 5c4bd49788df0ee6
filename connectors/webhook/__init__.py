"""Callbacks: a requester's own endpoint is told how its task ended. Signed, from rows, to nowhere but where allowed."""
