"""A Slack that runs on your machine: its Web API, its signed deliveries, and a page where people click."""
