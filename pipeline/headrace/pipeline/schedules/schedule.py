"""A schedule: what is submitted, when, and under which policies."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice, pairwise, takewhile
from typing import Any, Final
from zoneinfo import ZoneInfo

from headrace.pipeline.durations import format_duration, to_milliseconds
from headrace.pipeline.errors import DeclarationError
from headrace.pipeline.job import Job
from headrace.pipeline.schedules.policies import Misfire, Overlap
from headrace.pipeline.schedules.timing import Timing, from_epoch, to_epoch

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LONGEST_JITTER: Final = timedelta(days=1)
_LOOKED_AT: Final = 5
"""Fires whose distances tell how often a schedule fires."""


@dataclass(frozen=True, slots=True)
class NamedJob:
    """A job by its type's name, with arguments as JSON has them: of a schedule made at run time."""

    job_type: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule. Made by `Pipeline.schedule`, or from what an operator added.

    Attributes:
        name: Letters, digits, dots, hyphens and underscores.
        timing: When it fires.
        job: What each fire submits.
        misfire: What is done about missed fires.
        overlap: What is done when the job of the fire before is not final.
        jitter: Each fire waits between nothing and this, always as long for the same fire.
        priority: Of the job; the job type's when not given.
        key: The job's ordering key; its id when not given.
        tenant: On whose behalf.
        expires: After this time from the fire the job is dropped, not started.
        added: When an operator added it, in epoch ms; None when it is declared in code.
        added_by: Who did.

    Raises:
        DeclarationError: A value cannot be used.
    """

    name: str
    timing: Timing
    job: Job[Any] | NamedJob
    misfire: Misfire = field(default_factory=Misfire)
    overlap: Overlap | str = Overlap.ALLOW
    jitter: timedelta = timedelta()
    priority: str | None = None
    key: str | None = None
    tenant: str | None = None
    expires: timedelta | None = None
    added: int | None = None
    added_by: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DeclarationError(
                "a name has letters, digits, dots, hyphens and underscores, begins with a letter "
                "or digit, and is no longer than 100 characters"
            )
        object.__setattr__(self, "overlap", self._checked_overlap())
        self._check_job_options()
        self._check_jitter()

    @property
    def zone(self) -> ZoneInfo:
        """Whose clocks its times are shown by."""
        return self.timing.zone

    def due(self, fire: int) -> int:
        """When a fire's job is due: its time and the jitter. Both in epoch milliseconds.

        The jitter follows from the name and the time, so every scheduler finds the same.
        """
        most = to_milliseconds(self.jitter)
        if not most:
            return fire
        digest = hashlib.sha256(f"{self.name}\x1f{fire}".encode()).digest()
        return fire + int.from_bytes(digest[:8], "big") % (most + 1)

    def dedup_key(self, fire: int, again: str = "") -> str:
        """What the id of a fire's job is derived from, so that it is the same whoever submits it.

        Args:
            fire: Its time in epoch milliseconds.
            again: Tells another job of the same fire from the first.
        """
        return f"schedule/{self.name}/{fire}" + (f"/{again}" if again else "")

    def next_after(self, moment: int) -> int | None:
        """The next fire after a moment, both in epoch milliseconds; None when there is none."""
        found = next(self.timing.fires(from_epoch(moment)), None)
        return None if found is None else to_epoch(found)

    def _checked_overlap(self) -> Overlap:
        try:
            return Overlap(self.overlap)
        except ValueError:
            raise DeclarationError(
                f"overlap={self.overlap!r} is unknown; use {', '.join(map(repr, Overlap))}"
            ) from None

    def _check_job_options(self) -> None:
        if self.key == "":
            raise DeclarationError("key='' would put all its jobs on one partition: leave it out")
        if self.expires is not None and self.expires <= timedelta():
            raise DeclarationError(f"expires={self.expires!r} must be above zero")

    def _check_jitter(self) -> None:
        if not timedelta() <= self.jitter <= _LONGEST_JITTER:
            raise DeclarationError(f"jitter={self.jitter!r} must be between zero and a day")
        if not self.jitter:
            return
        some = islice(self.timing.fires(from_epoch(0)), _LOOKED_AT)
        shortest = min((later - sooner for sooner, later in pairwise(some)), default=None)
        if shortest is not None and self.jitter >= shortest:
            raise DeclarationError(
                f"jitter={format_duration(self.jitter)} must be shorter than the time between two "
                f"fires, here {format_duration(shortest)}"
            )


def fires(schedule: Schedule, after: datetime, until: datetime) -> Iterator[datetime]:
    """The times at which a schedule fires, in order, in UTC.

    A change of the clocks: a fixed time of day that is skipped fires at the instant of the change,
    one that comes twice fires the first time only; a cron expression whose minute or hour begins
    with `*` goes by what the clocks show, so it pauses for an hour that is skipped and fires again
    in one that is repeated; an interval knows no clocks.

    Args:
        schedule: Whose.
        after: From here on, this moment not included; with a time zone.
        until: Up to here, this moment included; with a time zone.
    """
    return takewhile(lambda fire: fire <= until, schedule.timing.fires(after))
