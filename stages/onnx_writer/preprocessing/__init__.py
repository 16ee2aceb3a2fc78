"""Preprocessing steps as nodes of the graph."""
