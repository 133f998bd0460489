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
        seconds: That one run of a system takes, about: for the time that is left.
        measure: Gives its cases.
        wanted: Which systems take part.
    """

    number: int
    name: str
    title: str
    repeats: int
    seconds: float
    measure: Callable[[Bench, System], Iterator[Case]]
    wanted: Callable[[System], bool] = lambda system: True


def _persistent(system: System) -> bool:
    """Without persistence only speed is shown: what does not depend on it is measured once."""
    return system.service is not ServiceKind.REDIS_MEMORY


def _has(feature: Feature) -> Callable[[System], bool]:
    return lambda system: _persistent(system) and feature in system.features


def _ours(system: System) -> bool:
    return system.name == "headrace"


WORKLOADS = (
    Workload(0, SWEEP, "Sweep over processes and concurrency", 1, 25, drains.sweep, _persistent),
    Workload(1, "1-submit", "Submit", 3, 8, drains.submit),
    Workload(2, "2-drain", "Drain jobs that do nothing", 3, 20, drains.drain),
    Workload(3, "3-naps", "Jobs that wait 5 ms", 1, 30, drains.naps, _has(Feature.NAPS)),
    Workload(4, "4-spins", "CPU-bound jobs", 1, 12, drains.spins, _persistent),
    Workload(5, "5-latency", "Latency and rest", 1, 30, paced.latency, _persistent),
    Workload(6, "6-retries", "Failing jobs", 1, 20, paced.retries, _has(Feature.RETRIES)),
    Workload(
        7, "7-priorities", "Urgent behind many", 1, 25, paced.priorities, _has(Feature.PRIORITIES)
    ),
    Workload(8, "8-delays", "Delayed jobs", 1, 600, paced.delayed, _ours),
    Workload(9, "9-scale", "Cost by scale", 1, 80, scale.scale, _ours),
)
