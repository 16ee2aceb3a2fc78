"""Explained answers beside shap and beside plain answers."""
