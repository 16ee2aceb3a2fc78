"""Scores files: one event on a laptop, a folder of files every night."""
