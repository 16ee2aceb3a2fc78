"""Estimators that no library has. A pickle of a pipeline with one needs `stages/` to be opened."""
