"""Cron expressions: reading them, and the instants that they name in a time zone.

Two kinds, as Debian's cron tells them apart. An expression whose minute and hour are both fixed
names times of day: each fires once on each of its days, whatever the clocks do. One whose minute or
hour begins with `*` says how often: it fires when the clocks show a matching time, so not within an
hour that is skipped, and again in one that is repeated. Seconds (6 fields) change nothing in this.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from headrace.pipeline.errors import DeclarationError
from headrace.pipeline.schedules import local_time

ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS: Final = "minute hour day-of-month month day-of-week"
_SOME_DAY: Final = datetime(2024, 1, 1)  # noqa: DTZ001 - a local time of no place
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True)
class Cron:
    """A cron expression in a time zone.

    Attributes:
        expression: 5 fields (minute hour day-of-month month day-of-week), 6 with seconds first,
            or an alias such as `@daily`.
        zone: Whose clocks it speaks of.

    Raises:
        DeclarationError: It cannot be read, or never fires.
    """

    expression: str
    zone: ZoneInfo

    def __post_init__(self) -> None:
        _check(self.expression, self.fields)

    @cached_property
    def fields(self) -> str:
        """The expression without aliases."""
        text = " ".join(self.expression.split())
        return ALIASES.get(text.lower(), text)

    @cached_property
    def names_times_of_day(self) -> bool:
        """Whether minute and hour are both fixed."""
        minute, hour = self.fields.split()[-5:-3]
        return not (minute.startswith("*") or hour.startswith("*"))

    @property
    def words(self) -> str:
        """What it means: `At 03:00 every day (Europe/Berlin)`."""
        return f"{CronSim(self.fields, _SOME_DAY).explain()} ({self.zone.key})"

    def fires(self, after: datetime) -> Iterator[datetime]:
        """Every instant that it names after another one, in order, in UTC, none twice."""
        return self._times_of_day(after) if self.names_times_of_day else self._by_clock(after)

    def _matches(self, after: datetime) -> Iterator[datetime]:
        """The local times that match, as if no clock were ever changed."""
        return iter(CronSim(self.fields, after))

    def _times_of_day(self, after: datetime) -> Iterator[datetime]:
        last = after
        for shown in self._matches(local_time.local(after, self.zone)):
            found = local_time.instant(shown, self.zone)
            if found > last:
                last = found
                yield found

    def _by_clock(self, after: datetime) -> Iterator[datetime]:
        """Goes from one change of the clocks to the next: between them nothing is odd."""
        since, offset = after.astimezone(UTC), local_time.offset(after, self.zone)
        shown = local_time.local(after, self.zone)
        while True:
            for match in self._matches(shown):
                found = match.replace(tzinfo=UTC) - offset
                if local_time.offset(found, self.zone) != offset:
                    break
                since = found
                yield found
            else:
                return
            since = local_time.change(self.zone, since, found)
            offset = local_time.offset(since, self.zone)
            shown = local_time.local(since, self.zone) - _SECOND


def _check(expression: str, fields: str) -> None:
    """Refuse what cannot be read, and what never fires.

    Raises:
        DeclarationError: As `Cron`.
    """
    if fields.startswith("@"):
        raise DeclarationError(
            f"cron={expression!r} is no alias: there are {', '.join(ALIASES)}; for an interval "
            "write every=timedelta(minutes=5)"
        )
    parts = fields.split()
    if len(parts) not in (5, 6):
        raise DeclarationError(
            f"cron={expression!r} has {len(parts)} fields: write 5 ({_FIELDS}), or 6 with the "
            "second first"
        )
    try:
        matches = CronSim(fields, _SOME_DAY)
    except CronSimError as error:
        if _readable(parts):
            raise _never(expression) from None
        raise DeclarationError(
            f"cron={expression!r} cannot be read: {str(error).lower()}; the fields are {_FIELDS}, "
            "each a number, a range 1-5, a list 1,15, a step */10, or *; with 6 fields the first "
            "is the second"
        ) from None
    if next(iter(matches), None) is None:
        raise _never(expression)


def _readable(parts: list[str]) -> bool:
    """Whether each field can be read by itself, so that only their combination is refused."""
    try:
        CronSim(" ".join([*parts[:-2], "*", parts[-1]]), _SOME_DAY)
    except CronSimError:
        return False
    return True


def _never(expression: str) -> DeclarationError:
    return DeclarationError(
        f"cron={expression!r} never fires: none of its months has such a day; for the last day of "
        "a month write L as the day, such as 0 0 L 2 *"
    )
