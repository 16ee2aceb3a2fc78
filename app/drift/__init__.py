"""Does the model still fit what arrives? Counts of rows and answers, beside those of training."""
