"""The proof: a run under faults, and a checker that joins what was logged with what was stored."""
