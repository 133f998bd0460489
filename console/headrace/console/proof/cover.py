"""Which offsets a commit covers: those below it, and those in the finished map beside it.

Nobody runs a covered record again, so a commit that covers too much loses jobs. Metadata that
cannot be read covers nothing: its reader replays.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from headrace.console.proof.records import Committed
from headrace.consumers.commit_metadata import Unreadable, decode


@dataclass(frozen=True, slots=True)
class Cover:
    """What one commit covers.

    Attributes:
        offset: Everything below it.
        finished: Ranges above it: ascending, apart.
        problem: Why the metadata cannot be used; empty when it can, or when there is none.
    """

    offset: int
    finished: tuple[range, ...] = ()
    problem: str = ""

    def __contains__(self, offset: int) -> bool:
        if offset < self.offset:
            return True
        at = bisect_right(self.finished, offset, key=lambda each: each.start)
        return at > 0 and offset in self.finished[at - 1]


def cover_of(committed: Committed) -> Cover:
    """Read what was committed."""
    found = decode(committed.metadata or None, committed.offset)
    if isinstance(found, Unreadable):
        problem = f"{found.cause.value}: {found.detail}" if committed.metadata else ""
        return Cover(max(0, committed.offset), problem=problem)
    return Cover(committed.offset, found.finished)


def problems(commits: Iterable[tuple[str, Committed]]) -> list[str]:
    """Say which metadata nobody could read: each line where it stood and why."""
    found = ((where, cover_of(committed).problem) for where, committed in commits)
    return [f"{where}: {problem}" for where, problem in found if problem]
