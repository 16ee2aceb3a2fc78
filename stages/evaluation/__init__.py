"""What the holdout and the folds tell of a candidate."""
