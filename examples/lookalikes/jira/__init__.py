"""A Jira Cloud that runs on your machine: the part of its REST API that a connector calls, and its signed webhooks."""
