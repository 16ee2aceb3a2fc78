"""Proposals for the keys of `params.yaml` that depend on the table: guesses with their reasons."""
