"""Reading and checking a user's table, and setting the holdout aside."""
