"""Which offsets of a lane have been counted: a set of numbers that come nearly in order."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

MOST_RUNS: Final = 1_000
"""Runs that are kept: with more jobs in flight than that, the lowest are forgotten."""


class OffsetSet:
    """A set of offsets, as runs from a first to a last one.

    Args:
        flat: First and last of each run, in order, as `flat` gives them.
        most: Runs that are kept; beyond it the lowest are forgotten.
    """

    __slots__ = ("_firsts", "_lasts", "_most")

    def __init__(self, flat: Sequence[int] = (), most: int = MOST_RUNS) -> None:
        self._firsts = list(flat[::2])
        self._lasts = list(flat[1::2])
        self._most = most

    def __contains__(self, offset: int) -> bool:
        at = bisect_right(self._firsts, offset) - 1
        return at >= 0 and offset <= self._lasts[at]

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def add(self, offset: int) -> bool:
        """Take an offset; tells whether it is new."""
        firsts, lasts = self._firsts, self._lasts
        at = bisect_right(firsts, offset) - 1
        if at >= 0 and offset <= lasts[at]:
            return False
        ends = at >= 0 and lasts[at] == offset - 1
        begins = at + 1 < len(firsts) and firsts[at + 1] == offset + 1
        if ends and begins:
            lasts[at] = lasts.pop(at + 1)
            del firsts[at + 1]
        elif ends:
            lasts[at] = offset
        elif begins:
            firsts[at + 1] = offset
        else:
            firsts.insert(at + 1, offset)
            lasts.insert(at + 1, offset)
            if len(firsts) > self._most:
                del firsts[0], lasts[0]
        return True

    @property
    def flat(self) -> list[int]:
        """First and last of each run, in order."""
        return [number for run in zip(self._firsts, self._lasts, strict=True) for number in run]
