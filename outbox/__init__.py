"""Work to be done after a commit: jobs in the database, leased and pumped. Knows no domain."""
