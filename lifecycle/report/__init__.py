"""One page about one revision: how good, next to the champion, and how to make it again."""
