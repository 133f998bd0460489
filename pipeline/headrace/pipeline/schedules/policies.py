"""What a schedule does about fires that it missed, and about a job that still runs."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from headrace.pipeline.errors import DeclarationError

DEFAULT_GRACE: Final = timedelta(minutes=1)
"""Longer than the partitions of a killed scheduler stand still by Kafka's defaults (45 s)."""
MOST_CAUGHT_UP: Final = 10_000


class Overlap(StrEnum):
    """What happens when a fire is due and the job of the fire before is not final."""

    ALLOW = "allow"
    """It fires all the same."""
    SKIP = "skip"
    """It does not fire."""
    CANCEL_OLD = "cancel_old"
    """The job of the fire before is cancelled, and it fires."""


class MisfireKind(StrEnum):
    """What happens with fires that were missed."""

    SKIP = "skip"
    RUN_ONCE = "run_once"
    CATCH_UP = "catch_up"


@dataclass(frozen=True, slots=True)
class Misfire:
    """What is done about fires that no scheduler was there for. Made by its class methods.

    A fire that is late by no more than `grace` is not missed but late, and fires. When one is
    later than that, the policy decides over all that are due by then.

    Attributes:
        kind: The policy.
        limit: Of `catch_up`: how many fires at most, the last ones.
        grace: How late a fire may be without being missed.

    Raises:
        DeclarationError: A value is out of range.
    """

    kind: MisfireKind = MisfireKind.RUN_ONCE
    limit: int = 1
    grace: timedelta = DEFAULT_GRACE

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MOST_CAUGHT_UP:
            raise DeclarationError(
                f"Misfire.catch_up({self.limit}): must be between 1 and {MOST_CAUGHT_UP:,}; for "
                "more use `headrace schedules backfill`"
            )
        if not timedelta(seconds=1) <= self.grace <= timedelta(days=7):
            raise DeclarationError(
                f"Misfire(grace={self.grace!r}): must be between a second, since every fire is a "
                "little late, and seven days"
            )

    @classmethod
    def skip(cls, *, grace: timedelta = DEFAULT_GRACE) -> "Misfire":
        """Missed fires are dropped: the next one is in the future."""
        return cls(MisfireKind.SKIP, grace=grace)

    @classmethod
    def run_once(cls, *, grace: timedelta = DEFAULT_GRACE) -> "Misfire":
        """The last missed fire stands for all of them."""
        return cls(MisfireKind.RUN_ONCE, grace=grace)

    @classmethod
    def catch_up(cls, most: int, *, grace: timedelta = DEFAULT_GRACE) -> "Misfire":
        """The last `most` missed fires fire, the oldest first."""
        return cls(MisfireKind.CATCH_UP, most, grace)

    @property
    def words(self) -> str:
        """What it means, in a few words."""
        match self.kind:
            case MisfireKind.SKIP:
                return "missed fires are skipped"
            case MisfireKind.RUN_ONCE:
                return "missed fires run once"
            case MisfireKind.CATCH_UP:
                return f"the last {self.limit:,} missed fires run"
