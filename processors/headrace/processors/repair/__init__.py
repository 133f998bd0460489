"""Repair of dead letters: what they are, what was done about them, and how to do it."""
