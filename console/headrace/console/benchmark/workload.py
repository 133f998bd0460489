"""The jobs that `headrace bench` runs, and what their handlers note, in this one process."""

import time
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.pipeline import JobType, Pipeline, Queue

NOTE: Final = "customer 4711 wants her order sent to another address, and a receipt by mail " * 2
"""Ballast: about 200 bytes of arguments with the others."""
_NANOSECONDS: Final = 1e9


@dataclass
class Workload:
    """A pipeline of its own with two job types.

    Attributes:
        pipeline: With one lane.
        noop: Does nothing.
        ping: Notes how long after its intended moment it began.
        ran: Numbers of the no-op jobs that have run, in order, doubles included.
        waits: By number, of the pings that have run: seconds.
    """

    pipeline: Pipeline
    noop: JobType[Any, Any, Any, Any]
    ping: JobType[Any, Any, Any, Any]
    ran: list[int] = field(default_factory=list)
    waits: dict[int, float] = field(default_factory=dict)


def make(name: str) -> Workload:
    """Make the workload of one run; topics and groups are named `<name>.…`."""
    pipeline = Pipeline(name, queues=[Queue("default", priorities=("normal",))])
    ran: list[int] = []
    waits: dict[int, float] = {}

    @pipeline.job("noop", priority="normal")
    async def noop(number: int, note: str) -> None:
        ran.append(number)

    @pipeline.job("ping", priority="normal")
    async def ping(number: int, intended: int, note: str) -> None:
        waits[number] = (time.time_ns() - intended) / _NANOSECONDS

    return Workload(pipeline, noop, ping, ran, waits)
