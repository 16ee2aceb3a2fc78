"""What counting for `/drift` costs."""
