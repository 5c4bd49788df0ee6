"""Pages people see. Each view parses, makes one domain call, and renders; none of them decides anything."""
