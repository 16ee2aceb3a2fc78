"""The search for hyperparameters by Optuna: the spaces of the estimators, and the search."""
