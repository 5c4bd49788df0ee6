"""Slack: cards in channels, an inbox in the app's home, answers by click. A surface, never authentication."""
