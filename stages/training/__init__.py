"""PyCaret behind one door: experiments, folds, the leaderboard."""
