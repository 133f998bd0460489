"""What ordered queues add to a lane: a line for each key, and notes of the heads that wait."""

from headrace.consumers.ordering.lines import KeyLines, OrderError, line_key
from headrace.consumers.ordering.parked import ParkedError, ParkedHeads, ParkedKey, resumed

__all__ = [
    "KeyLines",
    "OrderError",
    "ParkedError",
    "ParkedHeads",
    "ParkedKey",
    "line_key",
    "resumed",
]
