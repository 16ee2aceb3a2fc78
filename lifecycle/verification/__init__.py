"""Rebuild a commit from its raw data alone, compare every byte with what it locks, sign that."""
