"""People deciding: access requests, votes, quorum, step-up, approvals, and the pages where it happens."""
