"""Deriving state from the stream: what became of jobs, dead letters, lag."""
