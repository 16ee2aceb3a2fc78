"""Programs that print figures, each one JSON line; see docs/benchmarks.md."""
