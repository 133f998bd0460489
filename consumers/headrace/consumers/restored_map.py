"""The part of a restored finished map that reading has not reached yet."""

from collections.abc import Iterable, Iterator


class RestoredMap:
    """Finished ranges above the records read so far; it shrinks as reading reaches them."""

    __slots__ = ("_ahead", "_count", "end")

    def __init__(self, finished: Iterable[range]) -> None:
        """Take the ranges of a commit's metadata: disjoint, at least one."""
        self._ahead = sorted(finished, key=lambda run: run.start, reverse=True)
        self._count = sum(map(len, self._ahead))
        self.end = self._ahead[0].stop

    def __bool__(self) -> bool:
        return bool(self._ahead)

    def __iter__(self) -> Iterator[range]:
        """The ranges still ahead, ascending."""
        return reversed(self._ahead)

    def reach(self, seen: int) -> int:
        """Drop what begins at or below this offset; returns the first offset not known done."""
        while self._ahead and self._ahead[-1].start <= seen:
            run = self._ahead.pop()
            self._count -= len(run)
            seen = max(seen, run.stop)
        return seen

    def unread(self, seen: int) -> int:
        """Offsets between this one and the end that the map does not call finished."""
        return self.end - seen - self._count
