"""Other people's systems: where a request is told, and where an answer to it may come from."""
