"""Pods that are kept at certain times, whatever the lag: KEDA's `cron` trigger.

The rule is that of KEDA's pkg/scalers/cron_scaler.go: it is on from `start` to `end`, which is when the
next end comes before the next start.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, ConfigDict

from headrace.deploy.profile_types import STRICT, Positive

_FIELDS: Final = 5


def _cron(text: str) -> str:
    if len(text.split()) != _FIELDS:
        raise ValueError("a cron expression has five fields, such as `0 7 * * 1-5`")
    try:
        CronSim(text, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(f"is no cron expression: {error}") from error
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("is no time zone, such as Europe/Vienna or Etc/UTC") from error
    return text


@dataclass(frozen=True, slots=True)
class Floor:
    """Pods that are kept from one time to another.

    Attributes:
        start: When they are wanted, a cron expression of five fields.
        end: Until when.
        replicas: How many.
        timezone: Whose clock, by its IANA name.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    start: Annotated[str, AfterValidator(_cron)]
    end: Annotated[str, AfterValidator(_cron)]
    replicas: Positive
    timezone: Annotated[str, AfterValidator(_zone)] = "Etc/UTC"

    def __post_init__(self) -> None:
        if self.start == self.end:
            raise ValueError("start and end are the same, so it is never on")

    def wanted(self, now: datetime) -> int:
        """Say how many pods it wants at a time with a zone; 0 while it is off."""
        local = now.astimezone(ZoneInfo(self.timezone))
        starts, ends = (next(CronSim(each, local)) for each in (self.start, self.end))
        return self.replicas if ends <= starts else 0

    def manifest(self) -> dict[str, Any]:
        """Write it as a trigger."""
        return {
            "type": "cron",
            "metadata": {
                "timezone": self.timezone,
                "start": self.start,
                "end": self.end,
                "desiredReplicas": str(self.replicas),
            },
        }

    def __str__(self) -> str:
        return f"{self.replicas} pods from `{self.start}` to `{self.end}` {self.timezone}"
