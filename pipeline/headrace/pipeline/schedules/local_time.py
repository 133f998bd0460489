"""Local times and instants: what becomes of a time that a change of the clocks skips or repeats.

A time of day that is skipped (02:30 on the night when 02:00 becomes 03:00) stands for the instant
of the change. One that comes twice stands for its first coming.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_SECOND = timedelta(seconds=1)


def local(instant: datetime, zone: ZoneInfo) -> datetime:
    """What clocks show at an instant: a datetime without a zone, cut to the second."""
    return instant.astimezone(zone).replace(tzinfo=None, microsecond=0, fold=0)


def offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    """How far clocks are ahead of UTC at an instant."""
    found = instant.astimezone(zone).utcoffset()
    assert found is not None
    return found


def instant(shown: datetime, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, that a local time stands for.

    Args:
        shown: What clocks show; without a zone.
        zone: Where.
    """
    first = shown.replace(tzinfo=zone, fold=0)
    found = first.astimezone(UTC)
    if local(found, zone) == shown:
        return found
    # Skipped: as before the change and as after it, read by PEP 495's two folds.
    before, after = first.utcoffset(), first.replace(fold=1).utcoffset()
    assert before is not None
    assert after is not None
    as_utc = shown.replace(tzinfo=UTC)
    return change(zone, as_utc - after, as_utc - before)


def change(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first instant, to the second, at which clocks are no longer set as they are at `low`.

    Args:
        zone: Where.
        low: Before the change.
        high: After it: the offsets at the two differ.
    """
    was = offset(low, zone)
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
        if offset(middle, zone) == was:
            low = middle
        else:
            high = middle
    return high
