"""Jira: an issue for each request, commands and moves that may be votes. A surface, never authentication."""
