"""Keeping the service running: versions, threads, log, metrics."""
