"""Where an owned partition stands in the accounting of crashes.

From before its first job until it is given up in order, every commit of a partition says *open*,
and how far jobs may have been started: the window. Whoever finds a partition open knows that its
owner died, and adds one to the streak:

    streak 1   the window runs as usual: a process can die once for any reason
    streak 2+  the unfinished jobs of the window are suspects: each runs in a child process of its
               own, so that a death is that job's and nobody else's

A suspect's offset is noted before it starts, so that even the death of the worker together with
its child is told of. Those that were noted then (a few) run alone in their worker from then on, to
find the one that takes worker and child along. A death with one job alone blames nobody at first
(a machine can be switched off, a session be lost, and nobody can tell); from the third on, with
the same job alone, it is the job's. All this is kept for each suspect until its outcome is stored:
that others run alone in between takes none back.

The streak ends when the commit point has passed the window. An owner that lost its session without
dying takes its own partition back without a death counted.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import structlog

from headrace.consumers import extras
from headrace.consumers.commit_metadata import CommitMetadata, State
from headrace.consumers.extras import Extras, ExtrasError
from headrace.consumers.ordering.parked import ParkedError, ParkedHeads

_LOG = structlog.get_logger("headrace.standing")
SUSPECT_FROM: Final = 2
"""Deaths in a row from which the jobs of the window are suspects, each in a child of its own."""
BLAMED_FROM: Final = 3
"""Deaths of the worker with one job alone from which they are this job's. In the attempts after
that a single one is."""
_MOST_STREAK: Final = 100
"""The streak is counted no further."""


@dataclass(slots=True, eq=False)
class Standing:
    """What the commits of one partition say beside the map. Owned by the lane's thread.

    Attributes:
        transactional_id: Noted for the next owner to fence.
        opened: Whether jobs may have been started and the partition is not given up yet.
        streak: Owners in a row that died with this window.
        suspects_until: The end of that window: an offset.
        window_end: The offset below which jobs may have been started.
        lone: The suspect that runs alone now.
        beside: The suspects that run in children beside each other now.
        deaths: Workers that died while a suspect ran alone, by its offset; 0 for one that must run
            alone because it ran beside others when its worker died.
        muted: Whether commits have no room for these three.
        parked: The heads of an ordered queue that wait in place.
        leaving: Offsets that are handed over with the commit that is being made.
    """

    transactional_id: str = ""
    opened: bool = False
    streak: int = 0
    suspects_until: int = 0
    window_end: int = 0
    lone: int | None = None
    beside: set[int] = field(default_factory=set)
    deaths: dict[int, int] = field(default_factory=dict)
    muted: bool = False
    parked: ParkedHeads = field(default_factory=ParkedHeads)
    leaving: Collection[int] = ()

    def at(self, offset: int) -> CommitMetadata:
        """Give what a commit of this offset says."""
        streak = self.streak if offset < self.suspects_until else 0
        reach = self.window_end if self.opened else self.suspects_until if streak else 0
        return CommitMetadata(
            State.OPEN if self.opened else State.CLEAN,
            streak,
            max(0, reach - offset),
            self.transactional_id,
            extra=self._extra(offset),
        )

    def _extra(self, offset: int) -> bytes:
        parked = b""
        if self.parked:
            self.parked.forget_below(offset, self.leaving)
            parked = self.parked.encode(offset, self.leaving)
        if self.muted:
            return extras.encode(Extras(parked=parked), offset)
        lone = self.lone if self.lone is not None and self.lone >= offset else None
        deaths = {at: count for at, count in self.deaths.items() if at >= offset}
        beside = [at for at in self.beside if at >= offset]
        return extras.encode(Extras(lone, deaths, parked, beside), offset)

    def is_suspect(self, offset: int) -> bool:
        """Whether a job may have killed its worker and must run in a child of its own."""
        return self.streak >= SUSPECT_FROM and offset < self.suspects_until

    def must_be_alone(self, offset: int) -> bool:
        """Whether its worker died while it ran, though it ran in a child of its own."""
        return offset in self.deaths

    def is_to_blame(self, offset: int, *, blamed_before: bool) -> bool:
        """Whether workers have died with this job alone, and often enough."""
        return self.deaths.get(offset, 0) >= (1 if blamed_before else BLAMED_FROM)

    def mute(self) -> bool:
        """Leave out what is noted of suspects from now on; False if there is nothing of it.

        Else a commit that is a few bytes too long would hold up the only job that may run.
        """
        if self.muted or (self.lone is None and not self.deaths and not self.beside):
            return False
        self.muted = True
        return True

    def charged(self, offset: int) -> None:
        """Say that what became of a job is stored: deaths before are not its next attempt's."""
        self.deaths.pop(offset, None)


def judged(found: CommitMetadata | None, offset: int, end: int, mine: str) -> Standing:
    """Say where a partition stands that is taken over.

    Args:
        found: The metadata of the committed offset, if it was readable.
        offset: The committed offset.
        end: The partition's end: what lies beyond it cannot have run.
        mine: The new owner's transactional id.
    """
    if found is None:
        return Standing(mine)
    before = _extras_of(found, offset)
    reach = min(offset + found.window, end)
    parked = _parked(before, offset)
    if reach <= offset:
        return Standing(mine, parked=parked)
    left_open = found.state is State.OPEN
    died = left_open and found.transactional_id != mine
    streak = min(found.streak + died, _MOST_STREAK)
    deaths = dict(before.deaths)
    if died:
        deaths = dict.fromkeys(before.beside, 0) | deaths
        if before.lone is not None:
            deaths[before.lone] = deaths.get(before.lone, 0) + 1
    return Standing(
        mine,
        # Its own again: jobs that it started before it lost the partition may still run here.
        opened=left_open and not died,
        streak=streak,
        suspects_until=reach if streak else 0,
        window_end=reach,
        deaths=deaths,
        parked=parked,
    )


def _extras_of(found: CommitMetadata, offset: int) -> Extras:
    try:
        return extras.decode(found.extra, offset)
    except ExtrasError:
        # A newer release wrote it. Its suspects run as usual once more; nothing is skipped.
        return Extras()


def _parked(before: Extras, offset: int) -> ParkedHeads:
    try:
        return ParkedHeads.decode(before.parked, offset)
    except ParkedError as error:
        _LOG.error(
            "notes of parked heads cannot be read: these jobs go on with the attempts that their "
            "records name",
            offset=offset,
            error=str(error),
        )
        return ParkedHeads()
