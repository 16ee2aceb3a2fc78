"""Formats of requests and replies, one module each."""
