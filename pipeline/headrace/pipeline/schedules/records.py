"""Schedules as the compacted schedules topic has them: keys, and JSON values.

| key | value |
|---|---|
| `declared/<name>` | what the code declares, for tools that have no code |
| `managed/<name>` | what an operator added |
| `state/<name>` | how far it has come; written by the scheduler that fires |
| `pause/<name>` | since when it is paused, or from when until when it was |
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic_core import to_jsonable_python

from headrace.pipeline.compacted import CompactedRecord
from headrace.pipeline.durations import format_duration, parse_duration
from headrace.pipeline.errors import DeclarationError
from headrace.pipeline.schedules.cron import Cron
from headrace.pipeline.schedules.policies import Misfire, MisfireKind
from headrace.pipeline.schedules.schedule import NamedJob, Schedule
from headrace.pipeline.schedules.timing import Every, Timing, make_timing

DECLARED: Final = "declared"
MANAGED: Final = "managed"
STATE: Final = "state"
PAUSE: Final = "pause"


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """How far a schedule has come. Times in epoch milliseconds.

    Attributes:
        handled: Every fire up to here was fired, or dropped by a policy.
        timing: The digest of the timing that this speaks of.
        at: When it was written.
        by: The scheduler that wrote it.
        fired: The last fire whose job was submitted.
        job: The id of that job.
        ended: The final state that this job came to, as far as that was looked at.
        skipped: The last fire that was dropped because the job before was not final.
    """

    handled: int
    timing: str
    at: int = 0
    by: str = ""
    fired: int | None = None
    job: str | None = None
    ended: str | None = None
    skipped: int | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause: fires in it are dropped. Times in epoch milliseconds.

    Attributes:
        since: The first fire that it drops may be as early as this.
        until: The last one as late as this; None while it lasts.
        by: Who paused, or resumed.
    """

    since: int
    until: int | None = None
    by: str = ""


def record(topic: str, kind: str, name: str, value: Mapping[str, Any] | None) -> CompactedRecord:
    """Make the record of a key; a value of None removes it."""
    content = None if value is None else json.dumps(value, ensure_ascii=False).encode()
    return CompactedRecord(topic, f"{kind}/{name}".encode(), content)


def state_record(topic: str, name: str, state: ScheduleState) -> CompactedRecord:
    """Make the record of a schedule's state."""
    return record(topic, STATE, name, asdict(state))


def pause_record(topic: str, name: str, pause: Pause) -> CompactedRecord:
    """Make the record of a pause."""
    return record(topic, PAUSE, name, asdict(pause))


def digest(timing: Timing) -> str:
    """Tell one timing from another."""
    text = json.dumps(_timing(timing), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def described(schedule: Schedule) -> dict[str, Any]:
    """Give a schedule as JSON has it; `schedule_from` reads it back."""
    return {
        "job_type": schedule.job.job_type,
        "arguments": to_jsonable_python(schedule.job.arguments, bytes_mode="base64", fallback=repr),
        **_timing(schedule.timing),
        "timezone": schedule.zone.key,
        "misfire": schedule.misfire.kind.value,
        "misfire_limit": schedule.misfire.limit,
        "misfire_grace": format_duration(schedule.misfire.grace),
        "overlap": str(schedule.overlap),
        "jitter": format_duration(schedule.jitter),
        "priority": schedule.priority,
        "key": schedule.key,
        "tenant": schedule.tenant,
        "expires": None if schedule.expires is None else format_duration(schedule.expires),
        "added": schedule.added,
        "added_by": schedule.added_by,
    }


def _timing(timing: Timing) -> dict[str, str]:
    if isinstance(timing, Cron):
        return {"cron": timing.fields, "timezone": timing.zone.key}
    if isinstance(timing, Every):
        return {"every": format_duration(timing.interval)}
    return {"at": timing.moment.isoformat()}


def schedule_from(name: str, found: Mapping[str, Any]) -> Schedule:
    """Make a schedule from what `described` gave, or another program wrote.

    Raises:
        DeclarationError: Something is missing or cannot be used.
    """
    try:
        return _schedule_from(name, found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeclarationError(
            f"schedule {name!r} as it lies on the schedules topic cannot be read "
            f"({type(error).__name__}: {error}); remove it and add it again"
        ) from error


def _schedule_from(name: str, found: Mapping[str, Any]) -> Schedule:
    every, at, expires = found.get("every"), found.get("at"), found.get("expires")
    timing = make_timing(
        found.get("cron"),
        None if every is None else parse_duration(every),
        None if at is None else datetime.fromisoformat(at),
        found.get("timezone"),
    )
    misfire = Misfire(
        MisfireKind(found.get("misfire", MisfireKind.RUN_ONCE)),
        found.get("misfire_limit", 1),
        parse_duration(found.get("misfire_grace", "1m")),
    )
    return Schedule(
        name,
        timing,
        NamedJob(found["job_type"], dict(found["arguments"])),
        misfire,
        found.get("overlap", "allow"),
        parse_duration(found["jitter"]) if found.get("jitter") else timedelta(),
        found.get("priority"),
        found.get("key"),
        found.get("tenant"),
        None if expires is None else parse_duration(expires),
        found.get("added"),
        found.get("added_by"),
    )
