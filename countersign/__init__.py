"""Human approval and exceptions for AI-agent tool calls: the library that PEPs and auditors install."""
