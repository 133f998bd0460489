"""What a ScaledObject's trigger asks for: its metadata, read strictly.

KEDA's own validation lets any key and any text through, so a misspelt one would be passed over in silence.
"""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from math import inf
from typing import Final

from headrace.pipeline.settings.scaler import LONGEST_START
from headrace.processors.scaler.errors import TriggerError


class Key(StrEnum):
    """The keys that a trigger may have for us."""

    PIPELINE = "pipeline"
    LANE = "lane"
    """Its topic."""
    TARGET = "target"
    """Ready jobs for each pod."""
    START_TIME = "startTime"
    """Seconds that a pod takes to start."""
    FORECAST = "forecast"
    """Whether a growing backlog counts as what it will be in a minute."""
    MAX_REPLICAS = "maxReplicas"
    """Pods beyond which more jobs ask for nothing."""


KEDAS_OWN: Final = frozenset({"scalerAddress", "enableTLS", "unsafeSsl"})
"""KEDA passes on what it reads itself, too."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a ScaledObject asks for.

    Attributes:
        lane: The topic of a lane.
        target: Ready jobs for each pod.
        start_time: How long a pod takes to start.
        forecast: Whether a growing backlog counts as what it will be in a minute.
        most: Jobs beyond which more ask for nothing.
    """

    lane: str
    target: float
    start_time: timedelta
    forecast: bool = False
    most: float = inf

    @property
    def metric(self) -> str:
        """The metric's name in the HPA."""
        return self.lane.replace(".", "-")


def read_trigger(
    metadata: Mapping[str, str], pipeline: str, lanes: Collection[str], start_time: timedelta
) -> Trigger:
    """Read a trigger's metadata.

    Args:
        metadata: As KEDA passes it on.
        pipeline: The pipeline that this scaler serves.
        lanes: The topics of its lanes.
        start_time: For a trigger that does not say.

    Raises:
        TriggerError: It is wrong.
    """
    _refuse_unknown(metadata)
    named = _required(metadata, Key.PIPELINE)
    if named != pipeline:
        raise TriggerError(
            f"pipeline={named!r}: this scaler serves {pipeline!r}; correct the name, or scalerAddress"
        )
    lane = _required(metadata, Key.LANE)
    if lane not in lanes:
        raise TriggerError(
            f"lane={lane!r}: pipeline {pipeline!r} has no such lane; write one of: "
            f"{', '.join(sorted(lanes))}"
        )
    target = _number(Key.TARGET, _required(metadata, Key.TARGET))
    given = metadata.get(Key.START_TIME)
    most = metadata.get(Key.MAX_REPLICAS)
    return Trigger(
        lane,
        target,
        start_time if given is None else _start_time(given),
        _truth(metadata.get(Key.FORECAST, "false")),
        inf if most is None else target * _whole(Key.MAX_REPLICAS, most),
    )


def _refuse_unknown(metadata: Mapping[str, str]) -> None:
    known = [key.value for key in Key]
    for name in sorted(metadata.keys() - {*known, *KEDAS_OWN}):
        close = difflib.get_close_matches(name, known, n=1)
        meant = f", did you mean {close[0]}?" if close else ""
        raise TriggerError(
            f"{name}={metadata[name]!r} means nothing{meant} (known: {', '.join(known)})"
        )


def _required(metadata: Mapping[str, str], key: Key) -> str:
    value = metadata.get(key, "")
    if not value:
        raise TriggerError(f"the trigger's metadata lacks {key.value}: add it")
    return value


def _number(key: Key, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < inf:
        raise TriggerError(f"{key.value}={text!r}: write a number above 0")
    return value


def _whole(key: Key, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise TriggerError(f"{key.value}={text!r}: write a whole number above 0")
    return int(text)


def _start_time(text: str) -> timedelta:
    seconds, most = _number(Key.START_TIME, text), LONGEST_START.total_seconds()
    if seconds > most:
        raise TriggerError(f"{Key.START_TIME.value}={text!r}: write {most:.0f} seconds or fewer")
    return timedelta(seconds=seconds)


def _truth(text: str) -> bool:
    if text not in {"true", "false"}:
        raise TriggerError(f'{Key.FORECAST.value}={text!r}: write "true" or "false"')
    return text == "true"
