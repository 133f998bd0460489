"""`make demo`: measures every file of Python's standard library through a real Kafka.

Read in this order: `jobs` (what is declared), `measure` (the work of one job), `audit` (the steps
of the demo), `readback` (what the topics say), `plain` and `compare` (whether that is true).
"""
