"""What a run is asked for, where it is, and under which circumstances it happens."""

import os
import platform
import random
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import confluent_kafka

from headrace.console.proof.records import Kind
from headrace.pipeline.broker import pins
from headrace.pipeline.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class ProofOptions:
    """What to run.

    Attributes:
        folder: Where everything is written; should be new.
        seed: What every random choice is drawn from.
        minutes: How long jobs are submitted and faults made.
        scenario: Which kinds of faults.
        kafka: The user's cluster; None for an embedded broker of the run's own.
        rate: Jobs a second.
        faults: So many at least, spread over the time; None for as many as fit.
        workers: Worker processes.
        concurrency: Jobs that one worker runs at once.
    """

    folder: Path
    seed: int
    minutes: float
    scenario: str = "all"
    kafka: KafkaSettings | None = None
    rate: float = 40.0
    faults: int | None = None
    workers: int = 3
    concurrency: int = 12


@dataclass(frozen=True, slots=True)
class State:
    """Where a run is."""

    phase: str
    seconds: float
    accepted: int = 0
    done: int = 0
    faults: int = 0
    now: tuple[Kind, ...] = ()
    workers: int = 0
    remaining: int = 0


def unseen(state: State) -> None:
    """Show nothing."""


def new_seed() -> int:
    """Draw a seed that is short enough to be typed again."""
    return random.SystemRandom().randrange(1, 1_000_000)


def versions() -> Mapping[str, str]:
    """Name what the run is made of."""
    return {
        "headrace": version("headrace"),
        "kafka": pins.load().kafka,
        "confluent-kafka": version("confluent-kafka"),
        "librdkafka": confluent_kafka.libversion()[0],
        "python": platform.python_version(),
    }


def machine() -> Mapping[str, Any]:
    """Name what it runs on."""
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cpus": os.cpu_count(),
        "memory_gb": round(pages * page / 1e9),
        "system": platform.platform(terse=True),
    }
