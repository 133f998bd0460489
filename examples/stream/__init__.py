"""Stateful processing of a stream of jobs: customers whose payments fail again and again."""
