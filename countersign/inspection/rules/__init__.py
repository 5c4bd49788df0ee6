"""What a secret looks like, as data: gitleaks' rules and our own, and how theirs were taken."""
