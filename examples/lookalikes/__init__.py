"""Stand-ins for other people's systems: stateful, strict as the real ones, on loopback only."""
