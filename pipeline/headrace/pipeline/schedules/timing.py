"""When a schedule fires: by a cron expression, in an interval, or once."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from headrace.pipeline.durations import format_duration, to_milliseconds
from headrace.pipeline.errors import DeclarationError
from headrace.pipeline.retry import MAX_DELAY
from headrace.pipeline.schedules.cron import Cron

SHORTEST: Final = timedelta(seconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
UTC_ZONE: Final = ZoneInfo("UTC")


def to_epoch(moment: datetime) -> int:
    """Epoch milliseconds of a moment with a zone, rounded up: a fire may be late, never early."""
    return to_milliseconds(moment - _EPOCH)


def from_epoch(milliseconds: int) -> datetime:
    """The moment, in UTC."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


@dataclass(frozen=True, slots=True)
class Every:
    """In an interval of elapsed time: at the multiples of it since 1970 in UTC.

    So every scheduler knows the times without having been told when the first one was, and a
    change of the clocks changes nothing.

    Raises:
        DeclarationError: It is shorter than a second, or over a hundred years.
    """

    interval: timedelta
    zone: ZoneInfo = UTC_ZONE
    """For showing times only."""

    def __post_init__(self) -> None:
        if not SHORTEST <= self.interval <= MAX_DELAY:
            raise DeclarationError(
                f"every={self.interval!r} must be between a second and a hundred years; for what "
                "happens more often submit one job that does several steps"
            )
        if self.interval % _MILLISECOND:
            raise DeclarationError(f"every={self.interval!r} must be whole milliseconds")

    @property
    def words(self) -> str:
        """What it means: `Every 15m`."""
        return f"Every {format_duration(self.interval)}"

    def fires(self, after: datetime) -> Iterator[datetime]:
        """Every instant after another one, in order, in UTC."""
        number = (after - _EPOCH) // self.interval
        while True:
            number += 1
            yield _EPOCH + number * self.interval


@dataclass(frozen=True, slots=True)
class At:
    """Once.

    Raises:
        DeclarationError: The moment has no time zone.
    """

    moment: datetime
    zone: ZoneInfo = UTC_ZONE
    """For showing times only."""

    def __post_init__(self) -> None:
        if self.moment.tzinfo is None:
            raise DeclarationError(
                f"at={self.moment} has no time zone: write datetime(…, tzinfo=UTC) or "
                'datetime(…, tzinfo=ZoneInfo("Europe/Berlin"))'
            )

    @property
    def words(self) -> str:
        """What it means: `Once, at 2026-12-24 18:00:00 (Europe/Berlin)`."""
        shown = self.moment.astimezone(self.zone).replace(tzinfo=None)
        return f"Once, at {shown} ({self.zone.key})"

    def fires(self, after: datetime) -> Iterator[datetime]:
        """The moment, in UTC and whole milliseconds, if it is after another one."""
        moment = from_epoch(to_epoch(self.moment))
        if moment > after:
            yield moment


Timing = Cron | Every | At


def make_timing(
    cron: str | None, every: timedelta | None, at: datetime | None, timezone: str | None
) -> Timing:
    """Make the one timing that is given; the zone is UTC when none is.

    Raises:
        DeclarationError: None or several are given, or the one cannot be used.
    """
    times = {"cron": cron, "every": every, "at": at}
    given = [name for name, value in times.items() if value is not None]
    if len(given) != 1:
        raise DeclarationError(
            f"got {' and '.join(given) or 'no time'}: give exactly one of cron=, every= and at="
        )
    zone = find_zone(timezone)
    if cron is not None:
        return Cron(cron, zone)
    if every is not None:
        return Every(every, zone)
    assert at is not None
    return At(at, zone)


def find_zone(name: str | None) -> ZoneInfo:
    """Find a time zone by its IANA name; UTC when none is given.

    Raises:
        DeclarationError: There is none of that name; names similar ones.
    """
    if name is None:
        return UTC_ZONE
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        similar = get_close_matches(name, available_timezones(), 3, 0.5)
        meant = f" (did you mean {' or '.join(similar)}?)" if similar else ""
        raise DeclarationError(
            f"timezone={name!r} is unknown{meant}: write an IANA name such as Europe/Berlin, or "
            "UTC; an offset or an abbreviation does not know summer time"
        ) from None
