"""What `make bench` measures: ratios of interleaved runs, never a lone time."""
