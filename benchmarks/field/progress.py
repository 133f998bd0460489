"""How far a benchmark is: runs made of all, and when the rest will be over."""

import time
from collections.abc import Callable, Sequence


class Progress:
    """Counts runs. What is left is expected to take as much longer than thought as what is over.

    Args:
        expected: Seconds that each run shall take, in their order.
        clock: Seconds that go forward.
    """

    def __init__(
        self, expected: Sequence[float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._expected = expected
        self._clock = clock
        self._begin = clock()
        self._done = 0

    def step(self) -> str:
        """Count one more, and tell: `[12/140, 47 min left]`."""
        self._done += 1
        return f"[{self._done}/{len(self._expected)}, {duration(self._left())} left]"

    def _left(self) -> float:
        over = sum(self._expected[: self._done])
        left = sum(self._expected[self._done :])
        passed = self._clock() - self._begin
        return left * passed / over if over else left


def duration(seconds: float) -> str:
    """Say it in minutes, or in seconds when it is less than two of them."""
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
