"""How many jobs of a partition may wait for a slot under the window that the broker knows.

A job may start only when the broker has a commit whose window covers it: so the window must be
wide enough that slots never wait for a commit, and no wider, because all that is unfinished in it
would run one at a time after two deaths. It doubles when slots did wait, and shrinks with the pace.
"""

from typing import Final

WIDEST: Final = 16_384
"""Jobs. At a commit every tenth of a second it is 160,000 jobs a second on one partition."""
_SHRINK_AFTER: Final = 1.0
"""Seconds over which the pace is measured before the window shrinks."""
_SPARE_SHARE: Final = 8
"""The window shrinks when less than one part in so many was used."""


class Window:
    """The width of one partition's window.

    Args:
        narrowest: Jobs; what the slots of the process can start at once, or more.
    """

    __slots__ = ("_mark", "_mark_at", "_narrowest", "width")

    def __init__(self, narrowest: int) -> None:
        self.width = narrowest
        self._narrowest = narrowest
        self._mark = 0
        self._mark_at = 0.0

    def adapt(self, started: int, now: float, *, short: bool) -> None:
        """Fit the width to the pace.

        Args:
            started: Jobs started so far.
            now: Monotonic seconds.
            short: Whether jobs waited for nothing but a commit.
        """
        if short:
            self.width = max(self.width, min(WIDEST, self.width * 2))
        if now - self._mark_at < _SHRINK_AFTER:
            return
        if (started - self._mark) * _SPARE_SHARE < self.width and not short:
            self.width = max(self._narrowest, self.width // 2)
        self._mark, self._mark_at = started, now
