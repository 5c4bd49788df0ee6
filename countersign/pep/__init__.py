"""Policy enforcement points: the client, the guard, the MCP proxy and the hooks."""
