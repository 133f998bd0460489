"""What a replay is to do, fixed when it begins, and how far it is. Both lie on the letters topic."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from headrace.pipeline.group_offsets import Place
from headrace.processors.repair.letter_filter import OPEN_LETTERS, LetterFilter
from headrace.processors.repair.replay_check import Aim
from headrace.processors.repair.replay_errors import ReplayError
from headrace.processors.repair.replay_record import Attempts
from headrace.processors.snapshot import LogSpan
from headrace.processors.times import both_times

BATCH: Final = 500
"""Letters that are written before they are recorded: far below the 10,000 records in which a lane
recognises a double."""
_BATCH_SECONDS: Final = 0.5
MOST_IDS: Final = 10_000
"""Ids that one replay names: its definition is one record."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


class Phase(StrEnum):
    """How a replay stands, by its own last word."""

    RUNNING = "running"
    """It goes on, or its process has died."""
    STOPPED = "stopped"
    """It was interrupted, and can be resumed."""
    FINISHED = "finished"
    """Every letter was looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """How to replay.

    Attributes:
        wanted: Which letters.
        aim: Where to, and which to leave.
        attempts: What number the next attempt has.
        rate: Letters a second; None for as fast as it goes.
        limit: Letters at most; None for all.
    """

    wanted: LetterFilter = OPEN_LETTERS
    aim: Aim = field(default_factory=Aim)
    attempts: Attempts = Attempts.FRESH
    rate: float | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise ReplayError(f"rate={self.rate:g}: must be above 0 letters a second")
        if self.limit is not None and self.limit < 1:
            raise ReplayError(f"limit={self.limit}: must be 1 or more")
        if len(self.wanted.ids) > MOST_IDS:
            raise ReplayError(
                f"{len(self.wanted.ids):,} ids are too many for one replay ({MOST_IDS:,} at most): "
                "use a filter, or several replays"
            )

    @property
    def batch(self) -> int:
        """How many letters are written before they are recorded: half a second's, 500 at most."""
        if self.rate is None:
            return BATCH
        return max(1, min(BATCH, int(self.rate * _BATCH_SECONDS)))

    def as_json(self) -> dict[str, Any]:
        """Keys: `filter`, `aim`, `attempts`, `rate_per_s`, `limit`."""
        return {
            "filter": self.wanted.as_json(),
            "aim": asdict(self.aim),
            "attempts": self.attempts.value,
            "rate_per_s": self.rate,
            "limit": self.limit,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "ReplayOptions":
        """Read what `as_json` gave."""
        return cls(
            wanted=LetterFilter.from_json(stored["filter"]),
            aim=Aim(**stored["aim"]),
            attempts=Attempts(stored["attempts"]),
            rate=stored["rate_per_s"],
            limit=stored["limit"],
        )


@dataclass(frozen=True, slots=True)
class ReplayDefinition:
    """One replay, from its beginning to its end.

    Attributes:
        name: Its own, within the pipeline.
        options: How to replay.
        spans: What the dead-letter topics held when it began: it looks at nothing newer, so a job
            that dies again is not replayed by it twice.
        matched: How many letters met the conditions then, `options.limit` at most.
        by: Who began it: a name that was given, not proven.
        reason: Why; may be empty.
        at: When, in epoch milliseconds.
    """

    name: str
    options: ReplayOptions
    spans: tuple[LogSpan, ...]
    matched: int
    by: str
    reason: str
    at: int

    def as_json(self) -> dict[str, Any]:
        """Keys: `name`, `options`, `spans`, `matched`, `by`, `reason`, `at_ms`, `at`."""
        return {
            "name": self.name,
            "options": self.options.as_json(),
            "spans": [asdict(span) for span in self.spans],
            "matched": self.matched,
            "by": self.by,
            "reason": self.reason,
            **both_times("at", self.at),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "ReplayDefinition":
        """Read what `as_json` gave."""
        return cls(
            stored["name"],
            ReplayOptions.from_json(stored["options"]),
            tuple(LogSpan(**span) for span in stored["spans"]),
            stored["matched"],
            stored["by"],
            stored["reason"],
            stored["at_ms"],
        )


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """How far a replay is: recorded with each batch, in the transaction of the batch's marks.

    Attributes:
        phase: How it stands.
        at: When that was, in epoch milliseconds.
        replayed: Letters that are on their lanes.
        refused: How many were refused, by `Cause`.
        positions: The next offset of each partition of the dead letters.
        floors: By partition of a lane, from where on a batch lies that was not recorded.
    """

    phase: Phase
    at: int
    replayed: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    positions: Mapping[Place, int] = field(default_factory=dict)
    floors: Mapping[Place, int] = field(default_factory=dict)

    @property
    def looked_at(self) -> int:
        """How many letters met the conditions so far."""
        return self.replayed + sum(self.refused.values())

    def summary(self) -> dict[str, Any]:
        """Keys: `phase`, `recorded_ms`, `recorded`, `replayed`, `refused`."""
        return {
            "phase": self.phase.value,
            **both_times("recorded", self.at),
            "replayed": self.replayed,
            "refused": dict(self.refused),
        }

    def as_json(self) -> dict[str, Any]:
        """Keys of `summary`, and `positions` and `floors`."""
        return self.summary() | {
            "positions": _by_topic(self.positions),
            "floors": _by_topic(self.floors),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "ReplayProgress":
        """Read what `as_json` gave."""
        return cls(
            Phase(stored["phase"]),
            stored["recorded_ms"],
            stored["replayed"],
            stored["refused"],
            _by_place(stored["positions"]),
            _by_place(stored["floors"]),
        )


def name_now(at: int) -> str:
    """Derive a replay's name from the time: `20261224-180000-123`, in UTC."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return f"{moment:%Y%m%d-%H%M%S}-{at % 1000:03}"


def check_name(name: str, taken_groups: Mapping[str, object], group: str) -> None:
    """Refuse a name that cannot stand in a group's name, or would be a lane's group.

    Raises:
        ReplayError: Says what a name looks like.
    """
    if not _NAME.fullmatch(name):
        raise ReplayError(
            f"a replay cannot be named {name!r}: use lower-case letters, digits, `.`, `_` and `-`, "
            "beginning with a letter or digit, 80 characters at most"
        )
    if group in taken_groups:
        raise ReplayError(
            f"a replay cannot be named {name!r} here: {group} is the group of a lane; use another"
        )


def _by_topic(offsets: Mapping[Place, int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (topic, partition), offset in sorted(offsets.items()):
        found.setdefault(topic, {})[str(partition)] = offset
    return found


def _by_place(stored: Mapping[str, Mapping[str, int]]) -> dict[Place, int]:
    return {
        (topic, int(partition)): offset
        for topic, offsets in stored.items()
        for partition, offset in offsets.items()
    }
