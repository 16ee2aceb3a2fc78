"""One page about one revision: how good, next to the version before, and how to make it again."""
