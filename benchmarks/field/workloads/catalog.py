"""The workloads, by number."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.field.bench import SWEEP, Bench, Case
from benchmarks.field.contract import Feature, ServiceKind, System
from benchmarks.field.workloads import drains, paced, scale


@dataclass(frozen=True)
class Workload:
    """One of the comparison.

    Attributes:
        number: On the command line.
        name: Of its folder of results.
        title: Of its table.
        repeats: How often it is run, the systems in turns.
        measure: Gives its cases.
        wanted: Which systems take part.
    """

    number: int
    name: str
    title: str
    repeats: int
    measure: Callable[[Bench, System], Iterator[Case]]
    wanted: Callable[[System], bool] = lambda system: True


def _persistent(system: System) -> bool:
    """Without persistence only speed is shown: what does not depend on it is measured once."""
    return system.service is not ServiceKind.REDIS_MEMORY


def _has(feature: Feature) -> Callable[[System], bool]:
    return lambda system: _persistent(system) and feature in system.features


WORKLOADS = (
    Workload(0, SWEEP, "Sweep over processes and concurrency", 1, drains.sweep, _persistent),
    Workload(1, "1-submit", "Submit", 3, drains.submit),
    Workload(2, "2-drain", "Drain jobs that do nothing", 3, drains.drain),
    Workload(3, "3-naps", "Jobs that wait 5 ms", 1, drains.naps, _has(Feature.NAPS)),
    Workload(4, "4-spins", "CPU-bound jobs", 1, drains.spins, _persistent),
    Workload(5, "5-latency", "Latency and rest", 1, paced.latency, _persistent),
    Workload(6, "6-retries", "Failing jobs", 1, paced.retries, _has(Feature.RETRIES)),
    Workload(
        7, "7-priorities", "Urgent behind many", 1, paced.priorities, _has(Feature.PRIORITIES)
    ),
    Workload(
        8,
        "8-delays",
        "Delayed jobs",
        1,
        paced.delayed,
        lambda system: system.name == "headrace",
    ),
    Workload(
        9, "9-scale", "Cost by scale", 1, scale.scale, lambda system: system.name == "headrace"
    ),
)
