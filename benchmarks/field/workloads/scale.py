"""Workload 9: what a job costs Headrace as everything around it grows."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from benchmarks.field.bench import Bench, Case, attempt
from benchmarks.field.contract import Setting, System
from benchmarks.field.stage import Wish
from benchmarks.field.workloads.drains import drained

BASE = Wish(Setting(1, 100), partitions=12)
_SECONDS = 2.0
WISHES = {
    "12 partitions, 1 process, 100 in flight": BASE,
    "1 partition": replace(BASE, partitions=1),
    "240 partitions": replace(BASE, partitions=240),
    "10 in flight": replace(BASE, setting=Setting(1, 10)),
    "1,000 in flight": replace(BASE, setting=Setting(1, 1_000)),
    "100 job types": replace(BASE, spread=(100, 1)),
    "12 lanes": replace(BASE, spread=(12, 12)),
    "2 processes": replace(BASE, setting=Setting(2, 100)),
    "4 processes": replace(BASE, setting=Setting(4, 100)),
    "8 processes": replace(BASE, setting=Setting(8, 100)),
}
"""By what differs from the first one."""


def scale(bench: Bench, system: System) -> Iterator[Case]:
    """No-op drains that differ from the first one in one respect each."""
    count = bench.count(bench.best(system, 1)[1], _SECONDS)
    for title, wish in WISHES.items():
        measure = partial(drained, bench, system, wish, count)
        yield attempt(title, measure, {"setting": str(wish.setting)})
