"""The runs that make a benchmark, and how each becomes a result on disk."""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.field.bench import Bench, Case, reason
from benchmarks.field.contract import Figures, System
from benchmarks.field.progress import Progress
from benchmarks.field.results import Results
from benchmarks.field.workloads.catalog import Workload

_ZERO = ("lost", "doubled", "foreign", "early")
"""Figures that are told of when they are not zero."""


@dataclass(frozen=True)
class Step:
    """One run of a workload of a system."""

    workload: Workload
    system: System
    run: int


def missing(
    results: Results,
    workloads: Sequence[Workload],
    systems: Sequence[System],
    repeats: Callable[[Workload], int],
) -> list[Step]:
    """Give the steps that have no result yet: by workload, one run of each system after the other."""
    return [
        Step(workload, system, run)
        for workload in workloads
        for run in range(1, repeats(workload) + 1)
        for system in systems
        if workload.wanted(system) and not results.has(workload.name, system.name, run)
    ]


def measure(bench: Bench, steps: Sequence[Step]) -> int:
    """Make the results one after the other, and tell of each; gives how many failed."""
    progress = Progress([step.workload.seconds for step in steps])
    failed = 0
    for step in steps:
        begin = time.monotonic()
        cases = once(bench, step)
        failed += any(case.failed for case in cases)
        seconds, told = time.monotonic() - begin, ", ".join(_told(case) for case in cases)
        about = f"{step.workload.name:<13}{step.system.name:<21}{seconds:>4.0f} s"
        print(f"{progress.step()} {about}  {told}", flush=True)
    return failed


def once(bench: Bench, step: Step) -> list[Case]:
    """Make one result, and keep it. One that fails in part is kept apart: the next call repeats it."""
    workload, system, results = step.workload, step.system, bench.results
    begin = time.monotonic()
    cases: list[Case] = []
    try:
        cases.extend(workload.measure(bench, system))
    except Exception as error:
        traceback.print_exc()
        cases.append(Case("the rest" if cases else "all", {}, failed=reason(error)))
    failed = any(case.failed for case in cases)
    keep = results.write_failed if failed else results.write
    content = {"cases": [case.document() for case in cases], "seconds": time.monotonic() - begin}
    keep(workload.name, system.name, step.run, content)
    return cases


def _told(case: Case) -> str:
    if case.failed:
        return f"{case.title} FAILED: {case.failed.splitlines()[-1]}"
    for name, unit in (("per_s", "/s"), ("p50_ms", " ms"), ("cpu_percent", " %")):
        if name in case.figures:
            return f"{case.title}: {case.figures[name]:,.1f}{unit}{_wrong(case.figures)}"
    return f"{case.title}{_wrong(case.figures)}"


def _wrong(figures: Figures) -> str:
    """Name what should be zero and is not."""
    found = (f"{name} {figures[name]:,.0f}" for name in _ZERO if figures.get(name))
    named = ", ".join(found)
    return f" ({named})" if named else ""
