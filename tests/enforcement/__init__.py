"""Tests of the machines' side: real server code over a real database."""
