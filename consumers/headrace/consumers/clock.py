"""The wall clock as records carry it."""

import time


def now_ms() -> int:
    """Give epoch milliseconds, rounded up: an end is never told too early, a wait never cut."""
    return -(-time.time_ns() // 1_000_000)
