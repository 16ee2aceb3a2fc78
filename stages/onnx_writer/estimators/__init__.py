"""Estimators as nodes of the graph."""
