"""What a process tells about itself: logs, metrics, health, and its own figures.

Nothing is imported here: a process that only logs does not pay for the rest.
"""
