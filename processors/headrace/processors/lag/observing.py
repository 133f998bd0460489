"""What moved between two looks: rates, and when somebody last made progress. No Kafka, no clock."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.group_offsets import Place
from headrace.processors.snapshot import Snapshot

WINDOW: Final = timedelta(seconds=60)
"""The time over which rates are taken."""
REMEMBERED: Final = timedelta(minutes=5)
"""How long a commit point that went back is told of."""
_APART: Final = 5_000
"""Milliseconds between two looks that are remembered."""
_SHORTEST: Final = 500
"""Milliseconds below which no rate is told."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What moved in a partition. Times in epoch ms, rates in records a second.

    Attributes:
        rate_in: Records that came; None when it was looked at once only.
        rate_out: Records that were finished; None, too, where no group works.
        moved: When anything was last seen to be finished; None when nothing was.
        still_since: Since when something has waited and nothing was finished; None when nothing
            waits.
        rewound: When the commit point was last seen to go back, if that is not long ago.
        grew: Whether more waits than at the beginning of the window.
    """

    rate_in: float | None = None
    rate_out: float | None = None
    moved: int | None = None
    still_since: int | None = None
    rewound: int | None = None
    grew: bool = False


UNSEEN: Final = Progress()
"""Of what nobody has looked at."""


class _Seen(NamedTuple):
    end: int
    commit: int | None
    done: int

    @property
    def left(self) -> int:
        return self.end - self.done


class Observer:
    """Remembers the looks of the last minute, and of each partition what it did last.

    One thread owns it.
    """

    def __init__(self) -> None:
        self._looks: deque[tuple[int, dict[Place, _Seen]]] = deque()
        self._last: dict[Place, _Seen] = {}
        self._at = 0
        self._moved: dict[Place, int] = {}
        self._still: dict[Place, int] = {}
        self._rewound: dict[Place, int] = {}

    def restore(self, known: Mapping[Place, Progress]) -> None:
        """Go on from what another observer has told; its rates are not taken over."""
        for place, progress in known.items():
            for times, when in (
                (self._moved, progress.moved),
                (self._still, progress.still_since),
                (self._rewound, progress.rewound),
            ):
                if when is not None:
                    times[place] = when

    def take(self, snapshot: Snapshot, at: int) -> None:
        """Take a look.

        Args:
            snapshot: What the cluster says.
            at: When (epoch ms).
        """
        seen = {place: _seen(snapshot, place) for place in snapshot.spans}
        for place, now in seen.items():
            self._follow(place, self._last.get(place), now, at)
        self._last, self._at = seen, at
        edge = at - to_milliseconds(WINDOW)
        while len(self._looks) > 1 and self._looks[1][0] <= edge:
            self._looks.popleft()
        if not self._looks or at - self._looks[-1][0] >= _APART:
            self._looks.append((at, seen))

    def of(self, place: Place) -> Progress:
        """Tell what a partition did, up to the last look."""
        now, (began, before) = self._last[place], self._first(place)
        seconds = (self._at - began) / 1_000
        told = self._at - began >= _SHORTEST
        works = told and now.commit is not None and now.done >= before.done
        return Progress(
            max(0, now.end - before.end) / seconds if told else None,
            (now.done - before.done) / seconds if works else None,
            self._moved.get(place),
            self._still.get(place),
            self._rewound.get(place),
            now.left > before.left,
        )

    def _first(self, place: Place) -> tuple[int, _Seen]:
        looks = ((at, seen[place]) for at, seen in self._looks if place in seen)
        return next(looks, (self._at, self._last[place]))

    def _follow(self, place: Place, before: _Seen | None, now: _Seen, at: int) -> None:
        if now.commit is None:
            return
        went_back = before is not None and before.commit is not None and now.commit < before.commit
        if went_back:
            self._rewound[place] = at
        elif self._rewound.get(place, at) < at - to_milliseconds(REMEMBERED):
            del self._rewound[place]
        moved = before is not None and before.commit is not None and now.done > before.done
        if moved:
            self._moved[place] = at
        if now.left <= 0:
            self._still.pop(place, None)
        elif moved or went_back:
            self._still[place] = at
        else:
            self._still.setdefault(place, at)


def _seen(snapshot: Snapshot, place: Place) -> _Seen:
    span, commit = snapshot.spans[place], snapshot.commits.get(place)
    if commit is None:
        return _Seen(span.end, None, span.start)
    done = min(commit.offset, span.end) + commit.done_within(commit.offset, span.end)
    return _Seen(span.end, commit.offset, done)
