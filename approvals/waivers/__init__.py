"""Exceptions that end: asked for, granted by votes, bounded, used, suspended and over."""
