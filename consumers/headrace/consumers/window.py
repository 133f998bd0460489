"""How far ahead of what was started the next commit lets jobs start.

A job may start only when the broker has a commit whose window covers it: so the window must be
wide enough that jobs never wait for a commit, and no wider, because all that is unfinished in it
would run one at a time after two deaths. It doubles when jobs did wait, and shrinks with the pace.
"""

from typing import Final

WIDEST: Final = 16_384
"""Offsets. At a commit every tenth of a second it is 160,000 jobs a second on one partition."""
_SHRINK_AFTER: Final = 1.0
"""Seconds over which the pace is measured before the window shrinks."""
_SPARE_SHARE: Final = 8
"""The window shrinks when less than one part in so many was used."""


class Window:
    """The width of one partition's window: additive in nothing, doubling and halving.

    Args:
        narrowest: Offsets; what the slots of the process can start at once, or more.
        start: The first offset that may be started.
    """

    __slots__ = ("_mark", "_mark_at", "_narrowest", "width")

    def __init__(self, narrowest: int, start: int) -> None:
        self.width = narrowest
        self._narrowest = narrowest
        self._mark = start
        self._mark_at = 0.0

    def runs_short(self, started_end: int, allowed: int) -> bool:
        """Whether so little is left to start that the next commit must not wait."""
        return allowed - started_end <= self.width // 4

    def end(self, started_end: int, now: float, *, short: bool) -> int:
        """Give the end of the next commit's window: an offset.

        Args:
            started_end: The offset after the last one that was started.
            now: Monotonic seconds.
            short: Whether jobs wait for it.
        """
        if short:
            self.width = min(WIDEST, self.width * 2)
        if now - self._mark_at >= _SHRINK_AFTER:
            if (started_end - self._mark) * _SPARE_SHARE < self.width and not short:
                self.width = max(self._narrowest, self.width // 2)
            self._mark, self._mark_at = started_end, now
        return started_end + self.width
