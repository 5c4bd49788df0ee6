"""Policy: YAML in, immutable bundle out; bundle and call in, verdict out."""
