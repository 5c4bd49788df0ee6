"""What exists: tenants, people, agents, tools, credentials, entities, releases, and the snapshot judged with."""
