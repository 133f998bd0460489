"""What every long-running process has: signals, a port, health, parts that run and end together."""
