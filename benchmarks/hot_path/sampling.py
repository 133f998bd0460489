"""Which function the time of the main thread goes to, by samples; C code counts for its caller."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Final, NamedTuple

from benchmarks.hot_path.counting import name_of

_WAITING: Final = threading.Condition.wait.__code__
"""A sample there is of no CPU time."""
_EVERY: Final = 0.0005
"""Seconds between two samples. By the clock, since a timer of CPU time goes off at a tick of the kernel."""


class Sampled(NamedTuple):
    """What a run took: seconds of CPU time, and how many samples met which function."""

    seconds: float
    samples: Counter[str]


def sampled(work: Callable[[], object]) -> Sampled:
    """Run something in the main thread and look, two thousand times a second, where it is."""
    found: Counter[CodeType] = Counter()

    def look(_: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code is not _WAITING:
            found[frame.f_code] += 1

    before = signal.signal(signal.SIGALRM, look)
    begin = time.process_time()
    signal.setitimer(signal.ITIMER_REAL, _EVERY, _EVERY)
    try:
        work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    seconds, named = time.process_time() - begin, Counter[str]()
    for code, number in found.items():
        named[name_of(code)] += number
    return Sampled(seconds, named)
