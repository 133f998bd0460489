"""Statistics: how many jobs, how fast, how many failures, and what comes next."""
