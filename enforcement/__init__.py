"""Machines asking: authentication, AuthZEN and ARAP, the decision, its commit, budgets, executions."""
