"""Why an answer is what it is: the contribution of each raw column."""
