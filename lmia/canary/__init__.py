"""Canaries: random variants of one's own pictures, one of each published, and the test that follows from the choice."""
