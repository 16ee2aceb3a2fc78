"""From a fitted pipeline to a served version."""
